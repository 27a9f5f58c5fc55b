"""Opening a registry as a user asks for it: where it lies, and whom to trust in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provreg.errors import NotFoundError
from provreg.executors.api import no_report
from provreg.flows.session.policy_file import is_own
from provreg.flows.session.trust import Trust, find_root, find_trust
from provreg.flows.session.workspace import Workspace, open_workspace
from provreg.store.backends.local import LocalBackend
from provreg.store.private.pins import find_lock, read_lock
from provreg.store.private.state import PlaceMemory, memory_of
from provreg.store.registry.folder import find, open_registry
from provreg.trust.sigstore.root import TrustedRoot

REGISTRY_VARIABLE = "PROVREG_REGISTRY"


@dataclass(frozen=True, slots=True)
class Where:
    """The registry's folder, None for PROVREG_REGISTRY or the nearest upward; the file of pins,
    None for the nearest upward; data folders."""

    folder: Path | None
    lock: Path | None
    outside: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom to trust, as `flows.session.trust.find_trust` and `find_root` take it."""

    policy: Path | None
    key: Path | None
    identity: str | None
    issuer: str | None
    trusted_root: Path | None
    staging: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A registry, the trust in force (None where nothing says whom), and the root it is under."""

    workspace: Workspace
    trust: Trust | None
    root: TrustedRoot


def open_as_asked(
    where: Where,
    whom: Whom,
    *,
    report: Callable[[str], None],
    notice: Callable[[str], None] = no_report,
) -> Opened:
    """Raises NotFoundError without a registry, and as `find_trust`, `find_root` and `read_lock`."""
    found = where.folder or _named(os.environ) or find(Path.cwd())
    if found is None:
        raise NotFoundError(
            "there is no registry here or in any folder above",
            hint="make one with `provreg init`, or name one with --registry FOLDER",
        )
    lock_file = where.lock or find_lock(Path.cwd())
    pins = {} if lock_file is None else read_lock(lock_file)
    outside = (found, *where.outside)
    # A planted file of pins may only refuse: it makes no version one that was relied on.
    own = where.lock is not None or lock_file is None or is_own(lock_file, outside)
    workspace = open_workspace(
        open_registry(found), pins, vouching=own, report=report, notice=notice
    )
    root = find_root(whom.trusted_root, os.environ, staging=whom.staging)
    trust = find_trust(
        whom.policy,
        whom.key,
        os.environ,
        Path.cwd(),
        outside,
        identity=whom.identity,
        issuer=whom.issuer,
        root=root,
    )
    return Opened(workspace, trust, root)


def _named(environ: Mapping[str, str]) -> Path | None:
    name = environ.get(REGISTRY_VARIABLE)
    return Path(name) if name else None


def memory_at(folder: Path | None, dataset: str | None) -> PlaceMemory:
    """What was seen in the registry in `folder`, by default the nearest upward; it may be gone.

    Raises NotFoundError where there is none.
    """
    place = folder or find(Path.cwd())
    if place is None:
        raise NotFoundError(
            "there is no registry here or in any folder above",
            hint="name the one to forget with --registry FOLDER",
        )
    return memory_of(LocalBackend(place).places, dataset)
