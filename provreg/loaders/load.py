"""Opening a version for training, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from provreg.loaders.passes.skipping import MOST_BAD
from provreg.loaders.samples import VerifiedSamples
from provreg.loaders.selection import Selection
from provreg.registry import Registry

Place: TypeAlias = Path | str
OnBad: TypeAlias = Literal["raise", "skip"]


class Opening(TypedDict, total=False):
    """What `load` is told besides reference and data, for loaders that pass it on."""

    policy: Place | None
    key: Place | None
    identity: str | None
    issuer: str | None
    trusted_root: Place | None
    registry: Place | None
    lock: Place | None
    select: Selection | str | None
    exclude_revoked: bool | None
    on_bad: OnBad
    most_bad: float


def load(
    reference: str,
    *,
    data: Place | Sequence[Place],
    policy: Place | None = None,
    key: Place | None = None,
    identity: str | None = None,
    issuer: str | None = None,
    trusted_root: Place | None = None,
    registry: Place | None = None,
    lock: Place | None = None,
    select: Selection | str | None = None,
    exclude_revoked: bool | None = None,
    on_bad: OnBad = "raise",
    most_bad: float = MOST_BAD,
) -> VerifiedSamples:
    """Verifies `reference` (steps 1 to 11); its samples are then read from `data`, and checked.

    `data` are the folders or tables the version was made from. `policy`, `key`, or `identity` by
    `issuer` say whom to trust, `trusted_root` against which root, `registry` where to look, `lock`
    what is pinned, each found as the command line finds it where it is not given. `select` is a
    `Selection`, or a condition in SQL over what is signed (`"split = 'train'"`).

    Where some of them are revoked, by their source or labeler, RevokedError says so (step 8),
    unless `exclude_revoked` says whether they are left out (True) or loaded all the same (False).

    Samples that are not as signed raise SampleError, which names the sample, who answers for it,
    and what was expected and found. With `on_bad="skip"` they are passed over and counted, and are
    an error as soon as they are more than the share `most_bad` of all.

    Raises NotTrustedError with the step that refused, and as `registry.Registry.open`.
    """
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(path) for path in data]
    opened = Registry.open(
        _path(registry),
        policy=_path(policy),
        key=_path(key),
        identity=identity,
        issuer=issuer,
        trusted_root=_path(trusted_root),
        lock=_path(lock),
        outside=paths,
    )
    version = opened.verify(reference)
    if opened.workspace.parts.drop_damaged(version.head.parts):
        # A disk that fails is no attack: what it damaged is made again from the registry.
        version = opened.verify(reference)
    return VerifiedSamples(
        opened.workspace,
        version,
        paths,
        select=select,
        exclude_revoked=exclude_revoked,
        on_bad=on_bad,
        most_bad=most_bad,
    )


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)
