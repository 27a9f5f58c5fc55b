"""Signing with an identity: a short-lived certificate from Fulcio, an entry in Rekor's log."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.text import quoted
from provreg.core.policy.policy import Policy, single_identity_policy
from provreg.errors import NotTrustedError, StorageError, UsageError
from provreg.trust.bundle import parse_bundle
from provreg.trust.sigstore.adapter import (
    AGAIN,
    CALL_LIMIT,
    FULCIO,
    INSTANCE,
    REKOR,
    UNREADABLE,
    call_with_timeout,
)
from provreg.trust.sigstore.certificate import identity_of
from provreg.trust.sigstore.root import TrustedRoot, read_trust_config
from provreg.trust.sigstore.token import TokenSource
from provreg.trust.sigstore.verify import CertificateVerifier

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import ClientTrustConfig
    from sigstore.sign import Signer

# Minimum remaining validity of a certificate: it must still be valid when the log sees it.
_MARGIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Instance:
    """The instance that signs: private (by its trust configuration), staging or public-good."""

    trust_config: Path | None = None
    staging: bool = False


@dataclass(frozen=True, slots=True)
class SigningSession:
    """The library's signer, with a key in memory, and the certificate of that key."""

    signer: Signer
    certificate: Certificate


class KeylessSigner:
    """Signs with the identity of `tokens` at `instance`. Calls take at most `limit` seconds.

    A certificate is used for several signatures while it is valid.
    """

    def __init__(
        self, instance: Instance, tokens: TokenSource, *, limit: float = CALL_LIMIT
    ) -> None:
        self._instance = instance
        self._tokens = tokens
        self._limit = limit
        # Read at once, so that a wrong file is found before hours of hashing.
        self._config_text = (
            None if instance.trust_config is None else read_trust_config(instance.trust_config)
        )
        self._session: SigningSession | None = None

    def __repr__(self) -> str:
        return f"KeylessSigner({self._instance})"

    @classmethod
    def load(
        cls,
        *,
        trust_config: Path | str | None = None,
        staging: bool = False,
        token: Path | str | None = None,
        person: Callable[[str], None] | None = None,
    ) -> Self:
        """The signer with the identity in the file `token`, of the environment or of the CI job.

        It signs at the private instance of `trust_config`, at `staging`, or at public-good. Without
        these identities a browser opens when it signs, if `person`, which receives the warning, is
        given. Raises UsageError without an identity and for both instances, StorageError, and as
        `read_trust_config`.
        """
        if staging and trust_config is not None:
            raise UsageError("--staging and --trust-config contradict each other")
        instance = Instance(None if trust_config is None else Path(trust_config), staging)
        source = TokenSource(None if token is None else Path(token), os.environ, person)
        signer = cls(instance, source)
        signer.require_identity()
        return signer

    def require_identity(self) -> None:
        """Raises UsageError or StorageError early if there is no identity or no instance.

        Opens no browser.
        """
        _ = self._config
        self._tokens.unattended(self._limit)

    def policy(self) -> Policy:
        """The policy that trusts this signer alone. Requests a certificate for its identity."""
        return single_identity_policy(*identity_of(self._current().certificate))

    def sign(self, statement: bytes) -> bytes:
        """A verified bundle over exactly the bytes of `statement`.

        Raises UsageError without an identity, StorageError if a service is down, slow or
        unreadable, NotTrustedError (step 3) if a response does not verify.
        """
        from sigstore.dsse import Statement

        # The session is reused only after the bundle verified.
        session, self._session = self._current(), None
        service = f"{REKOR} or its timestamp authority" if self._stamps() else REKOR
        bundle = call_with_timeout(
            service, self._limit, lambda: session.signer.sign_dsse(Statement(statement))
        )
        data = canonical(json.loads(bundle.to_json()))
        self._check(data, statement)
        self._session = session
        return data

    def _check(self, data: bytes, statement: bytes) -> None:
        """Verifies a new bundle as verifiers do: signing itself does not verify the log."""
        root = TrustedRoot(json.loads(self._config.trusted_root._inner.to_json()), INSTANCE)
        try:
            bundle = parse_bundle(data)
            CertificateVerifier(root)(bundle)
        except NotTrustedError as error:
            raise NotTrustedError(
                f"the bundle of {INSTANCE} does not verify: {error.message}",
                step=3,
                hint="nothing was published: ask its operator, or use another instance",
            ) from None
        if bundle.payload != statement:
            raise NotTrustedError(f"{INSTANCE} signed another statement", step=3)
        if len(bundle.timestamps) != self._stamps():
            # The library only logs a warning if the log has a time.
            raise StorageError("the timestamp authority returned no timestamp", hint=AGAIN)

    def _stamps(self) -> int:
        """The required number of timestamps of a signature."""
        return len(self._config.signing_config.get_tsas())

    def _current(self) -> SigningSession:
        """A session whose certificate is valid long enough for a signature."""
        soon = datetime.now(UTC) + _MARGIN
        if self._session is None or self._session.certificate.not_valid_after_utc < soon:
            self._session = self._certify()
        return self._session

    def _certify(self) -> SigningSession:
        from sigstore.sign import SigningContext

        config = self._config
        token = self._tokens.unattended(self._limit) or self._tokens.by_browser(
            call_with_timeout(INSTANCE, self._limit, config.signing_config.get_oidc_url),
            self._limit,
        )
        context = call_with_timeout(
            INSTANCE, self._limit, lambda: SigningContext.from_trust_config(config)
        )

        def request() -> SigningSession:
            with context.signer(token) as signer:
                # The library has no public access to its certificate.
                return SigningSession(signer, signer._signing_cert())

        session = call_with_timeout(FULCIO, self._limit, request)
        identity, issuer = identity_of(session.certificate)
        if issuer not in {token.issuer, token.federated_issuer}:
            raise NotTrustedError(
                f"{FULCIO} vouches for {quoted(identity)} by {quoted(issuer)},"
                f" but the token is by {quoted(token.issuer)}",
                step=3,
                hint="nothing was published: ask the operator of this Sigstore instance",
            )
        return session

    @cached_property
    def _config(self) -> ClientTrustConfig:
        from sigstore.errors import Error
        from sigstore.models import ClientTrustConfig

        if self._config_text is None:
            staging = self._instance.staging
            fetch = ClientTrustConfig.staging if staging else ClientTrustConfig.production
            return call_with_timeout(INSTANCE, self._limit, fetch)
        try:
            config = ClientTrustConfig.from_json(self._config_text)
            # Both are checked at first access only.
            _ = config.signing_config, config.trusted_root
        except (Error, *UNREADABLE) as error:
            raise UsageError(
                f"the trust configuration cannot be used: {quoted(str(error))}",
                hint="ask the instance's operator for its configuration",
            ) from None
        return config
