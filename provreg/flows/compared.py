"""Two published versions compared, and by which version's hand they differ."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from provreg.errors import NotTrustedError
from provreg.flows.compare import changes_between
from provreg.flows.diff import Diff, MadeBy, between
from provreg.flows.lineage import Ancestor, changes_on, lineage
from provreg.flows.trusting import Trust
from provreg.flows.workspace import Workspace


def compared(
    workspace: Workspace,
    before: Ancestor,
    after: Ancestor,
    trust: Trust | None,
    asking: Callable[[], AbstractContextManager[Workspace]],
) -> Diff:
    """The changes from `before` to `after`, attributed; `asking` brings the index up to date."""
    changes = changes_between(workspace, before.head, after.head)
    broken = None
    if after.head.parent == before.digest:
        # One version made all of it: neither the index nor the history has more to say.
        made_by = MadeBy([after], None)
    else:
        try:
            line = between(lineage(workspace, after.digest, trust), before.digest)
        except NotTrustedError as error:
            # A history that is refused is what an incident wants to see: what changed is known.
            line, broken = [], error.message
        with asking() as indexed:
            made_by = MadeBy(line, changes_on(indexed, line))
    names = [f"{one.head.dataset}@{one.head.version}" for one in (before, after)]
    return Diff(changes, made_by, names[0], names[1], (before, after), broken=broken)
