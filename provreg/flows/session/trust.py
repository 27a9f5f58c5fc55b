"""Whom to trust: a public key or an identity that the user names, or the policy in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from provreg.core.encoding.text import printable
from provreg.core.policy.policy import (
    Policy,
    Signature,
    short_fingerprint,
    single_identity_policy,
    single_key_policy,
)
from provreg.errors import UsageError
from provreg.flows.session.policy_file import find_policy
from provreg.trust.bundle import Bundle, TrustAnchors
from provreg.trust.keys import PublicKey, load_public_file
from provreg.trust.signers import Signer
from provreg.trust.sigstore.root import PUBLIC_GOOD, STAGING, TrustedRoot, read_trusted_root

ROOT_VARIABLE = "PROVREG_TRUSTED_ROOT"
POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Trust:
    """The policy in force and where it is from, as it is shown to people.

    `name` is what the state calls it: `POLICY`, or the one key or identity that is trusted alone.
    What was seen under one name vouches for nothing under another. `root` is what the certificates
    of keyless signatures, and the timestamps of those with a key, are verified against.
    """

    policy: Policy
    origin: str
    root: TrustedRoot = PUBLIC_GOOD
    name: str = POLICY
    anchors: TrustAnchors = field(init=False)

    def __post_init__(self) -> None:
        anchors = TrustAnchors.of(self.policy, self._check_certificate, self._check_timestamps)
        object.__setattr__(self, "anchors", anchors)

    def _check_certificate(self, bundle: Bundle) -> Signature:
        # Late: most trust is in keys, and parsing certificates takes 30 ms to load.
        from provreg.trust.sigstore.verify import CertificateVerifier

        return CertificateVerifier(self.root)(bundle)

    def _check_timestamps(self, signature: bytes, stamps: Sequence[bytes]) -> datetime:
        from provreg.trust.timestamps import TimestampVerifier

        return TimestampVerifier(self.root)(signature, stamps)


def find_trust(
    policy: Path | None,
    key: Path | None,
    environment: Mapping[str, str],
    cwd: Path,
    outside: Sequence[Path],
    *,
    identity: str | None = None,
    issuer: str | None = None,
    root: TrustedRoot = PUBLIC_GOOD,
) -> Trust | None:
    """The trust that `key`, `identity` by `issuer`, or a policy gives; None where there is none.

    Certificates are verified against `root`. Raises UsageError for two of them and for an identity
    without an issuer, and as `flows.session.policy_file.find_policy`.
    """
    if sum(one is not None for one in (policy, key, identity or issuer)) > 1:
        raise UsageError(
            "--policy, --key and --identity contradict each other", hint="give one of them"
        )
    if key is not None:
        return trust_key(load_public_file(key), f"--key {printable(str(key))}", root)
    if identity is not None or issuer is not None:
        return _trust_identity(identity, issuer, root)
    found = find_policy(policy, environment, cwd, outside)
    if found is None:
        return None
    return Trust(found.policy, f"policy {printable(str(found.path))} ({found.digest})", root)


def find_root(
    file: Path | None, environment: Mapping[str, str], *, staging: bool = False
) -> TrustedRoot:
    """What certificates are verified against: `file`, PROVREG_TRUSTED_ROOT, or an embedded root.

    Raises UsageError for both a file and `staging`, and as `trust.sigstore.root.read_trusted_root`.
    """
    if staging and file is not None:
        raise UsageError(
            "--staging and a file of one's own contradict each other", hint="give one of them"
        )
    if staging:
        return STAGING
    named = file or environment.get(ROOT_VARIABLE)
    return read_trusted_root(Path(named)) if named else PUBLIC_GOOD


def trust_key(key: PublicKey, origin: str, root: TrustedRoot = PUBLIC_GOOD) -> Trust:
    """The trust in one key alone, for every dataset."""
    shown = f"{origin}, key {short_fingerprint(key.fingerprint)}"
    return _alone(single_key_policy(key.fingerprint, key.pem), shown, root)


def trust_signer(signer: Signer, root: TrustedRoot | None = None) -> Trust:
    """The trust in whoever signs, under `root` (by default public-good): enough to continue one's
    own versions."""
    policy = signer.policy()
    return _alone(policy, f"the signer itself, {policy.principals[0].name}", root or PUBLIC_GOOD)


def _alone(policy: Policy, origin: str, root: TrustedRoot) -> Trust:
    """The trust in one principal with one key or identity."""
    (principal,) = policy.principals
    named = [f"key {key.fingerprint}" for key in principal.keys]
    named += [f"identity {one.identity} by {one.issuer}" for one in principal.identities]
    (name,) = named
    return Trust(policy, origin, root, name)


def _trust_identity(identity: str | None, issuer: str | None, root: TrustedRoot) -> Trust:
    if not identity or not issuer:
        raise UsageError(
            "--identity and --issuer belong together",
            hint="anyone can run an issuer that vouches for any identity: name the one you mean",
        )
    shown = f"--identity {printable(identity)} --issuer {printable(issuer)}, {root.origin}"
    return _alone(single_identity_policy(identity, issuer), shown, root)
