"""Which samples of a verified version are revoked.

A revocation matches the names that samples have and those that they had: whoever publishes could
give them another name otherwise. What they had is told by the changes along the line, which are
compared once for a version and remembered; the index is not asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import Changes, compare
from provreg.core.changes.revoked_rows import Name, NamedEntries, former_after, revoked_mask
from provreg.core.manifest.columns import Mask, take
from provreg.core.manifest.head import Head
from provreg.core.statements.revocation import RevokedSamples
from provreg.errors import DamagedError, NotFoundError
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.compare import changes_between
from provreg.flows.verify.entries import load_entries
from provreg.flows.verify.integrity import history, read_head
from provreg.flows.verify.steps import VerifiedVersion


def revoked_samples(workspace: Workspace, version: VerifiedVersion) -> Mask:
    """One bool for each of `version.entries`, in their order: whether the sample is revoked.

    Raises NotTrustedError where the line, or a version on it, is damaged.
    """
    found = [one.revocation.samples for one in version.chain.of(version.head)]
    samples = [one for one in found if one is not None]
    return rows_revoked(workspace, version.digest, version.head, version.entries, samples)


def rows_revoked(
    workspace: Workspace,
    digest: str,
    head: Head,
    entries: pa.Table,
    samples: Sequence[RevokedSamples],
) -> Mask:
    """As `revoked_samples`, for the head `digest` with `entries`, and what would be revoked."""
    names = list(dict.fromkeys(Name.of(one) for one in samples))
    # Newest first: a line is walked back once.
    wanted = sorted({one.since for one in samples if one.since > 1}, reverse=True)
    found: list[tuple[int, str, Head]] = []
    for link, ancestor in history(workspace, digest) if wanted else ():
        if not wanted:
            break
        while wanted and ancestor.version < wanted[0]:
            found.append((wanted.pop(0), link, ancestor))
    before: dict[int, NamedEntries | None] = dict.fromkeys(one.since for one in samples)
    # Oldest first: what is found of one version is where the next begins.
    for since, link, ancestor in reversed(found):
        before[since] = _named(workspace, link, load_entries(workspace, ancestor), names)
    return revoked_mask(_named(workspace, digest, entries, names), samples, head.version, before)


def _named(
    workspace: Workspace, digest: str, entries: pa.Table, names: Sequence[Name]
) -> NamedEntries:
    """The entries of the head `digest`, and which of them had each of `names` before."""
    line: list[str] = []
    former: Mapping[Name, pa.Array] = {name: pa.array([], pa.string()) for name in names}
    for link, ancestor in history(workspace, digest) if names else ():
        known = {name: workspace.former_names.get(link, name, ancestor.samples) for name in names}
        masks = {name: mask for name, mask in known.items() if mask is not None}
        if len(masks) == len(names):
            if not line:
                return NamedEntries(entries, masks)
            former = _ids(workspace, ancestor, masks)
            line.append(link)
            break
        line.append(link)
    line.reverse()
    for older, newer in itertools.pairwise(line):
        changes = _changes(workspace, read_head(workspace, older), read_head(workspace, newer))
        former = {name: former_after(changes, name, ids) for name, ids in former.items()}
    masks = {}
    for name, ids in former.items():
        is_in = pc.is_in(entries.column("id"), value_set=ids)
        masks[name] = np.asarray(is_in.to_numpy(), np.bool_)
        workspace.former_names.put(digest, name, masks[name])
    return NamedEntries(entries, masks)


def _ids(workspace: Workspace, head: Head, masks: Mapping[Name, Mask]) -> dict[Name, pa.Array]:
    if not any(mask.any() for mask in masks.values()):
        return {name: pa.array([], pa.string()) for name in masks}
    entries = load_entries(workspace, head)
    return {name: take(entries, "id", np.flatnonzero(mask)) for name, mask in masks.items()}


def _changes(workspace: Workspace, old: Head, new: Head) -> Changes:
    try:
        return changes_between(workspace, old, new)
    except (DamagedError, NotFoundError):
        # Block lists, which only make comparing fast, may be lost: entries say all of it.
        return compare(load_entries(workspace, old), load_entries(workspace, new))
