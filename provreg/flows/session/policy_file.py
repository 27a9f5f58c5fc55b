"""Finding the policy that judges, and no planted one.

It is told in docs/reference/policy.md, "Where it comes from".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import printable, quoted
from provreg.errors import FormatError, NotFoundError, NotTrustedError, StorageError, UsageError
from provreg.store.private.folders import config_folder
from provreg.trust.keys import load_public

if TYPE_CHECKING:
    from provreg.core.policy.policy import Policy

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
        return _load(path, data)
    here = cwd.resolve()
    for path in (folder / POLICY_NAME for folder in (here, *here.parents)):
        if (data := _read_checked(path, _check_found, os.O_NOFOLLOW)) is not None:
            _check_outside(path, outside)
            return _load(path, data)
    return None


def load_policy(path: Path) -> PolicyFile:
    """The policy in `path`, a file the user named. Raises as `find_policy` for a named file."""
    try:
        with path.open("rb") as file:
            return _load(path, file.read(POLICY_LIMIT + 1))
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


def _load(path: Path, data: bytes) -> PolicyFile:
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
                f"is inside {quoted(str(found))}: whoever writes the data would choose its policy",
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
