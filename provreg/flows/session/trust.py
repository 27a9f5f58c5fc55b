"""Whom to trust: a public key or an identity that the user names, or the policy in force.

Which policy that is, and how a planted one is refused, is in docs/reference/policy.md, "Where it
comes from".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import printable, quoted
from provreg.core.policy.policy import (
    Policy,
    Signature,
    short_fingerprint,
    single_identity_policy,
    single_key_policy,
)
from provreg.errors import FormatError, NotFoundError, NotTrustedError, StorageError, UsageError
from provreg.store.private.folders import config_folder
from provreg.trust.bundle import Bundle, TrustAnchors
from provreg.trust.keys import PublicKey, load_public, load_public_file
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

    def __repr__(self) -> str:
        return f"Trust({self.origin})"

    def _check_certificate(self, bundle: Bundle) -> Signature:
        # Late: most trust is in keys, and parsing certificates takes 30 ms to load.
        from provreg.trust.sigstore.verify import CertificateVerifier

        return CertificateVerifier(self.root)(bundle)

    def _check_timestamps(self, signature: bytes, stamps: Sequence[bytes]) -> datetime:
        from provreg.trust.timestamps import TimestampVerifier

        return TimestampVerifier(self.root)(signature, stamps)


def find_trust(
    policy: Path | None,
    key: Path | bytes | None,
    environment: Mapping[str, str],
    cwd: Path,
    outside: Sequence[Path],
    *,
    identity: str | None = None,
    issuer: str | None = None,
    root: TrustedRoot = PUBLIC_GOOD,
) -> Trust | None:
    """The trust that `key`, `identity` by `issuer`, or a policy gives; None without any of them.

    `key` is a public key: a file, or its PEM.

    Certificates are verified against `root`. Raises UsageError for two of them and for an identity
    without an issuer, and as `flows.session.trust.find_policy`.
    """
    if sum(choice is not None for choice in (policy, key, identity or issuer)) > 1:
        raise UsageError(
            "--policy, --key and --identity contradict each other", hint="give one of them"
        )
    if isinstance(key, bytes):
        return trust_key(load_public(key), "the key given", root)
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
            "--staging and --trusted-root contradict each other", hint="give one of them"
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
    """The trust in the signer alone, under `root` (by default public-good): enough to continue its
    own versions."""
    policy = signer.policy()
    return _alone(policy, f"the signer itself, {policy.principals[0].name}", root or PUBLIC_GOOD)


def _alone(policy: Policy, origin: str, root: TrustedRoot) -> Trust:
    """The trust in one principal with one key or identity."""
    (principal,) = policy.principals
    named = [f"key {key.fingerprint}" for key in principal.keys]
    named += [
        f"identity {identity.identity} by {identity.issuer}" for identity in principal.identities
    ]
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


POLICY_LIMIT = 256 * 1024  # bytes
CONFIGURED_NAME = "policy.toml"  # in the user's configuration folder
POLICY_NAME = "provreg.policy.toml"  # upward from the current folder
POLICY_VARIABLE = "PROVREG_POLICY"

_HINT = "name the policy you mean with --policy FILE; if this one is yours, {remedy}"


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The policy in force, where it was found, and the written SHA-256 of the file's bytes."""

    path: Path
    digest: str
    policy: Policy


def find_policy(
    flag: Path | None,
    environment: Mapping[str, str],
    cwd: Path,
    outside: Sequence[Path],
    *,
    configuration: Path | None = None,
) -> PolicyFile | None:
    """The first of: `flag`, PROVREG_POLICY, the user's configuration, a file upward from `cwd`.

    `outside` are the data and registry folders: a file in one of them speaks for whoever wrote the
    data. `configuration` is provreg's configuration folder, by default the platform's. None where
    there is no policy at all.

    Raises NotTrustedError (step 6) for a found file that others may have written: it is never
    passed over, or planting one would switch to the next. Raises NotFoundError and StorageError for
    a named file that cannot be read, UsageError for one that is no policy.
    """
    named = flag or environment.get(POLICY_VARIABLE)
    if named:
        return load_policy(cwd / named)
    folder = configuration or config_folder()
    path = folder / CONFIGURED_NAME
    if (data := _read_checked(path, _check_configured)) is not None:
        return parse_policy_file(path, data)
    here = cwd.resolve()
    for path in (folder / POLICY_NAME for folder in (here, *here.parents)):
        if (data := _read_checked(path, _check_found, os.O_NOFOLLOW)) is not None:
            _check_outside(path, outside)
            return parse_policy_file(path, data)
    return None


def load_policy(path: Path) -> PolicyFile:
    """The policy in `path`, a file the user named. Raises as `find_policy` for a named file."""
    return parse_policy_file(path, read_policy_file(path))


def read_policy_file(path: Path) -> bytes:
    """The bytes of a file the user named, at most one more than the limit, which is refused."""
    try:
        with path.open("rb") as file:
            return file.read(POLICY_LIMIT + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no policy {quoted(str(path))}") from None
    except OSError as error:
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error


def is_own(path: Path, outside: Sequence[Path]) -> bool:
    """Whether a file found upward is one that a policy could be: nobody else may have put it there.

    Raises StorageError as `find_policy`.
    """
    try:
        status = path.lstat()
        _check_found(path, status)
        _check_outside(path, outside)
    except NotTrustedError:
        return False
    except OSError as error:
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error
    return stat.S_ISREG(status.st_mode)


def parse_policy_file(path: Path, data: bytes) -> PolicyFile:
    """The policy in `data`, the bytes of `path`; raises UsageError."""
    if len(data) > POLICY_LIMIT:
        raise UsageError(f"the policy {quoted(str(path))} has more than {POLICY_LIMIT} bytes")
    # Here: where there is no policy nothing of it is loaded.
    import tomllib

    from provreg.core.policy.parser import parse_policy

    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        why = printable(str(error))
        raise UsageError(f"the policy {quoted(str(path))} is not TOML: {why}") from None
    try:
        policy = parse_policy(document, lambda pem: load_public(pem.encode()).fingerprint)
    except FormatError as error:
        raise UsageError(f"{quoted(str(path))}: {error.message}", hint=error.hint) from None
    return PolicyFile(path, sha256_digest(data), policy)


def _read_checked(
    path: Path, check: Callable[[Path, os.stat_result], None], flags: int = 0
) -> bytes | None:
    """The bytes of a file that passes `check`; None where there is none.

    What is checked is the open file, not its name, so that it cannot be changed in between.
    """

    def opener(name: str, mode: int) -> int:
        # Without O_NONBLOCK a planted pipe would hang instead of being refused.
        return os.open(name, mode | flags | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=opener) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _planted(path, "is not a file", "put a file there")
            check(path, status)
            return file.read(POLICY_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise _planted(path, "is not a file", "put a file there") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _planted(path, "is a symbolic link", "put the file itself there") from None
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error


def _check_configured(path: Path, file: os.stat_result) -> None:
    """As ssh treats its configuration: links are followed, root may have written it."""
    _check_own(path, file, {os.geteuid(), 0})


def _check_found(path: Path, file: os.stat_result) -> None:
    _check_own(path, file, {os.geteuid()})
    folder = path.parent
    _check_own(
        path, folder.stat(), {os.geteuid()}, f"in the folder {quoted(str(folder))}, which is "
    )


def _check_own(path: Path, status: os.stat_result, owners: set[int], where: str = "") -> None:
    if status.st_uid not in owners:
        raise _planted(path, f"is {where}owned by user {status.st_uid}, not you", "own it")
    if status.st_mode & 0o022:
        raise _planted(path, f"is {where}writable by others", "chmod go-w it")


def _check_outside(path: Path, outside: Sequence[Path]) -> None:
    """Folders are compared by what they are, not by how they are spelled."""
    forbidden = {_identity(folder): folder for folder in outside}
    for folder in path.parents:
        found = forbidden.get(_identity(folder))
        if found is not None:
            raise _planted(
                path,
                f"is inside {quoted(str(found))}: writers of the data would choose its policy",
                "move it out",
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error
    return status.st_dev, status.st_ino


def _planted(path: Path, why: str, remedy: str) -> NotTrustedError:
    return NotTrustedError(
        f"the policy {quoted(str(path))} {why}", step=6, hint=_HINT.format(remedy=remedy)
    )
