"""Whom to trust: a public key the user names, or the policy in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from provreg.core.policy import short_fingerprint, single_key_policy
from provreg.core.text import printable
from provreg.errors import UsageError
from provreg.flows.policy_file import find_policy
from provreg.flows.verify import Trust
from provreg.trust.key import PublicKey
from provreg.trust.keyfile import load_public_file
from provreg.trust.signer import KeySigner


def find_trust(
    policy: Path | None,
    key: Path | None,
    environment: Mapping[str, str],
    cwd: Path,
    outside: Sequence[Path],
) -> Trust | None:
    """The trust that `key` or a policy gives; None where there is neither.

    Raises UsageError for both, and as `flows.policy_file.find_policy`.
    """
    if key is not None:
        if policy is not None:
            raise UsageError("--policy and --key contradict each other", hint="give one of them")
        return trust_key(load_public_file(key), f"--key {printable(str(key))}")
    found = find_policy(policy, environment, cwd, outside)
    if found is None:
        return None
    return Trust(found.policy, f"policy {printable(str(found.path))} ({found.digest})")


def trust_key(key: PublicKey, origin: str) -> Trust:
    """The trust in one key alone, for every dataset."""
    shown = f"{origin}, key {short_fingerprint(key.fingerprint)}"
    return Trust(single_key_policy(key.fingerprint, key.pem), shown)


def trust_signer(signer: KeySigner) -> Trust:
    """The trust in whoever signs: enough to continue one's own versions."""
    return trust_key(signer.key.public, "the signing key itself")
