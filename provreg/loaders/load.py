"""Opening a version for training, in one line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from provreg.loaders.passes.location import check_location
from provreg.loaders.passes.shared_state import MOST_BAD
from provreg.loaders.samples import VerifiedSamples
from provreg.loaders.selection import Selection
from provreg.registry import Place, Registry

_LOG = logging.getLogger("provreg")

OnBad: TypeAlias = Literal["raise", "skip"]


class LoadOptions(TypedDict, total=False):
    """The options of `load`, for loaders that pass them on."""

    policy: Place | None
    key: Place | bytes | None
    identity: str | None
    issuer: str | None
    trusted_root: Place | None
    registry: Place | None
    lock: Place | None
    select: Selection | str | None
    classes: Sequence[str] | None
    exclude_revoked: bool | None
    on_bad: OnBad
    most_bad: float


def load(
    reference: str,
    *,
    data: Place | Sequence[Place],
    policy: Place | None = None,
    key: Place | bytes | None = None,
    identity: str | None = None,
    issuer: str | None = None,
    trusted_root: Place | None = None,
    registry: Place | None = None,
    lock: Place | None = None,
    select: Selection | str | None = None,
    classes: Sequence[str] | None = None,
    exclude_revoked: bool | None = None,
    on_bad: OnBad = "raise",
    most_bad: float = MOST_BAD,
) -> VerifiedSamples:
    """Verifies `reference` (steps 1 to 11) and returns its samples, which are checked when read.

    `data` are the folders or tables that the version was made from. Trust comes from `policy`, from
    `key` (the file of a public key, or its PEM), or from `identity` and `issuer`; `trusted_root`,
    `registry` and the pins in `lock` are found as on the command line unless given. Where a pin is
    exact, the name alone is the pinned version, and newer ones are reported to the logger
    `provreg`. `select` is a `Selection`, or an SQL condition on the signed columns
    (`"split = 'train'"`). `classes` chooses classes and gives them their indices, in its order:
    samples of other classes, or without one, are not loaded.

    Revoked samples raise RevokedError (step 8), unless `exclude_revoked` says that they are
    excluded (True) or loaded (False).

    A sample that is not as signed raises SampleError with the sample, its source and labeler, and
    the expected and found digests. With `on_bad="skip"` such samples are skipped and counted, and
    a SkippedSampleWarning names the first; more than the share `most_bad` of all raise
    NotTrustedError.

    Raises NotTrustedError with the step that refused, NotFoundError if `data` is another folder
    than the one that was ingested, and as `registry.Registry.open`.
    """
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(path) for path in data]
    opened = Registry.open(
        registry,
        policy=policy,
        key=key,
        identity=identity,
        issuer=issuer,
        trusted_root=trusted_root,
        lock=lock,
        outside=paths,
        notice=_LOG.warning,
    )
    version = opened.verify(reference)
    if opened.workspace.parts.drop_damaged(version.head.parts):
        # A failing disk is no attack: damaged parts are made again from the registry.
        version = opened.verify(reference)
    samples = VerifiedSamples(
        opened.workspace,
        version,
        paths,
        select=select,
        classes=classes,
        exclude_revoked=exclude_revoked,
        on_bad=on_bad,
        most_bad=most_bad,
    )
    check_location(samples)
    return samples
