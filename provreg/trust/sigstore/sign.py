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

# A certificate that ends sooner is not used for another signature: the log must still see it valid.
_MARGIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Instance:
    """Which Sigstore signs: a private one by its trust configuration, staging, or public-good."""

    trust_config: Path | None = None
    staging: bool = False


@dataclass(frozen=True, slots=True)
class Certified:
    """The library's signer, which holds a key in memory, and the certificate for that key."""

    signer: Signer
    certificate: Certificate


class KeylessSigner:
    """Signs with the identity that `tokens` gives, at `instance`. No call outlasts `limit` seconds.

    One certificate serves several signatures, as long as it lives.
    """

    def __init__(
        self, instance: Instance, tokens: TokenSource, *, limit: float = CALL_LIMIT
    ) -> None:
        self._instance = instance
        self._tokens = tokens
        self._limit = limit
        # Read at once: a wrong file is to be known before hours of hashing.
        self._config_text = (
            None if instance.trust_config is None else read_trust_config(instance.trust_config)
        )
        self._certified: Certified | None = None

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
        any of those identities, who listens to `person` is asked in a browser when it signs. Raises
        UsageError without an identity and for both instances, as `read_trust_config`, StorageError.
        """
        if staging and trust_config is not None:
            raise UsageError("--staging and --trust-config contradict each other")
        instance = Instance(None if trust_config is None else Path(trust_config), staging)
        source = TokenSource(None if token is None else Path(token), os.environ, person)
        signer = cls(instance, source)
        signer.require_identity()
        return signer

    def require_identity(self) -> None:
        """Raises now what `sign` would later, where there is no identity or no instance.

        No person is asked. Raises UsageError and StorageError.
        """
        _ = self._config
        self._tokens.unattended(self._limit)

    def policy(self) -> Policy:
        """The policy that trusts this signer alone. Fetches the certificate that says who it is."""
        return single_identity_policy(*identity_of(self._current().certificate))

    def sign(self, statement: bytes) -> bytes:
        """A bundle over exactly the bytes of `statement`, which verifies.

        Raises UsageError where there is no identity, StorageError where a service is down, slow or
        unreadable, NotTrustedError (step 3) where what the services gave does not verify.
        """
        from sigstore.dsse import Statement

        # What a lying authority certified is not used again: it is kept when all has verified.
        certified, self._certified = self._current(), None
        asked = f"{REKOR} or its timestamp authority" if self._stamps() else REKOR
        made = call_with_timeout(
            asked, self._limit, lambda: certified.signer.sign_dsse(Statement(statement))
        )
        data = canonical(json.loads(made.to_json()))
        self._check(data, statement)
        self._certified = certified
        return data

    def _check(self, data: bytes, statement: bytes) -> None:
        """Nothing is handed out that verifiers would refuse: signing itself verifies no log."""
        root = TrustedRoot(json.loads(self._config.trusted_root._inner.to_json()), INSTANCE)
        try:
            bundle = parse_bundle(data)
            CertificateVerifier(root)(bundle)
        except NotTrustedError as error:
            raise NotTrustedError(
                f"what {INSTANCE} made of the signature does not verify: {error.message}",
                step=3,
                hint="nothing was published: ask who runs it, or use another instance",
            ) from None
        if bundle.payload != statement:
            raise NotTrustedError(f"{INSTANCE} signed another statement", step=3)
        if len(bundle.timestamps) != self._stamps():
            # The library only logs it, and with a log that gives the time goes on.
            raise StorageError("the timestamp authority gave no timestamp", hint=AGAIN)

    def _stamps(self) -> int:
        """How many timestamps a signature must have."""
        return len(self._config.signing_config.get_tsas())

    def _current(self) -> Certified:
        """A certificate that lives long enough for a signature, with the library's signer."""
        soon = datetime.now(UTC) + _MARGIN
        if self._certified is None or self._certified.certificate.not_valid_after_utc < soon:
            self._certified = self._certify()
        return self._certified

    def _certify(self) -> Certified:
        from sigstore.sign import SigningContext

        config = self._config
        token = self._tokens.unattended(self._limit) or self._tokens.by_browser(
            call_with_timeout(INSTANCE, self._limit, config.signing_config.get_oidc_url),
            self._limit,
        )
        context = call_with_timeout(
            INSTANCE, self._limit, lambda: SigningContext.from_trust_config(config)
        )

        def request() -> Certified:
            with context.signer(token) as signer:
                # Private, for the library does not say whose certificate it signs with.
                return Certified(signer, signer._signing_cert())

        certified = call_with_timeout(FULCIO, self._limit, request)
        identity, issuer = identity_of(certified.certificate)
        if issuer not in {token.issuer, token.federated_issuer}:
            raise NotTrustedError(
                f"{FULCIO} vouches for {quoted(identity)} by {quoted(issuer)},"
                f" but the token is by {quoted(token.issuer)}",
                step=3,
                hint="nothing was published: ask who runs this instance of Sigstore",
            )
        return certified

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
            # Both are checked when they are asked for, and not before.
            _ = config.signing_config, config.trusted_root
        except (Error, *UNREADABLE) as error:
            raise UsageError(
                f"the trust configuration cannot be used: {quoted(str(error))}",
                hint="ask who runs the instance for its configuration",
            ) from None
        return config
