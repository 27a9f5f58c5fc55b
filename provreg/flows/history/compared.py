"""Published versions compared, and by which version's hand they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise

from provreg.errors import NotTrustedError, UsageError
from provreg.flows.history.diff import Diff, MadeBy, between
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.compare import changes_between
from provreg.flows.verify.lineage import Ancestor, changes_on, lineage


def compared(
    workspace: Workspace,
    before: Ancestor,
    after: Ancestor,
    trust: Trust | None,
    asking: Callable[[], AbstractContextManager[Workspace]],
) -> Diff:
    """The changes from `before` to `after`, attributed; `asking` brings the index up to date."""
    if after.head.parent == before.digest:
        # One version made all of it: neither the index nor the history has more to say.
        return _compared(workspace, before, after, MadeBy([after], None))
    broken = None
    try:
        line = between(lineage(workspace, after.digest, trust), before.digest)
    except NotTrustedError as error:
        # A history that is refused is what an incident wants to see: what changed is known.
        line, broken = [], error.message
    with asking() as indexed:
        made_by = MadeBy(line, changes_on(indexed, line))
    return _compared(workspace, before, after, made_by, broken)


def each_compared(
    workspace: Workspace, before: Ancestor, after: Ancestor, trust: Trust | None
) -> Iterator[Diff]:
    """The changes that each version after `before` made, up to `after`, the oldest first.

    Raises UsageError where `after` does not descend from `before`, NotTrustedError (step 9) where
    the line is broken.
    """
    later = between(lineage(workspace, after.digest, trust), before.digest)
    if not later:
        raise UsageError(
            f"{_name(after)} does not descend from {_name(before)}: no versions lie between them",
            hint="give the older one first, of the same dataset",
        )
    for old, new in pairwise([before, *later]):
        yield _compared(workspace, old, new, MadeBy([new], None))


def _compared(
    workspace: Workspace,
    before: Ancestor,
    after: Ancestor,
    made_by: MadeBy,
    broken: str | None = None,
) -> Diff:
    changes = changes_between(workspace, before.head, after.head)
    return Diff(changes, made_by, _name(before), _name(after), (before, after), broken=broken)


def _name(version: Ancestor) -> str:
    return f"{version.head.dataset}@{version.head.version}"
