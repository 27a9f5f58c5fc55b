"""Step 9: a version against what was seen, pinned and attested of its dataset."""

from __future__ import annotations

from collections.abc import Sequence

from provreg.core.head import Head
from provreg.core.names import Reference
from provreg.errors import NotTrustedError
from provreg.flows.freshness import Attested
from provreg.flows.integrity import Report, history, ignore
from provreg.flows.revocations import Chain
from provreg.flows.workspace import Workspace
from provreg.record import record
from provreg.store.state import Pin, Seen, check_seen


@record
class Known:
    """What a consumer knows of a dataset before it looks at the registry."""

    seen: Seen | None
    pin: Pin | None


def known_of(workspace: Workspace, dataset: str) -> Known:
    """Asked for before the registry is listed: what others publish meanwhile is no rollback."""
    return Known(workspace.seen(dataset), workspace.pins.get(dataset))


def check_history(
    workspace: Workspace,
    reference: Reference,
    digest: str,
    head: Head,
    known: Known,
    attested: Sequence[Attested] = (),
    done: Report = ignore,
) -> bool:
    """Step 9: the head `digest` lies on one line with what is known. False where nothing was.

    Raises NotTrustedError.
    """
    seen, pin = known.seen, known.pin
    if pin is not None and pin.uid != head.uid:
        raise NotTrustedError(
            f"{head.dataset} is pinned as another dataset (uid {pin.uid}, here {head.uid})", step=9
        )
    if seen is not None:
        check_seen(seen, head.uid, head.version, digest)
    # A list: pin and memory can name the same number, and both must hold.
    anchors = [] if pin is None else [(pin.version, pin.head)]
    if seen is not None:
        anchors.append((seen.newest, seen.versions[seen.newest]))
    remembered = bool(anchors)
    if reference.head is not None:
        done(9, "named by digest: exempt")
        return remembered
    for one in attested:
        if reference.version is None and head.version < one.latest.version:
            raise NotTrustedError(
                f"the registry hides the newest version of {head.dataset}: {one} is attested to be"
                f" the newest, the registry's newest is {head.version}",
                step=9,
                hint="find out who writes to the registry; ask for an older version by number if"
                " you mean it",
            )
    anchors += [(one.latest.version, one.latest.head) for one in attested]
    for number, anchor in sorted(anchors):
        older, newer = sorted([(head.version, digest), (number, anchor)])
        if reference.version is None and head.version < number:
            raise NotTrustedError(
                f"{head.dataset} went back: version {number} was seen or pinned, the registry's"
                f" newest is {head.version}",
                step=9,
                hint=f"ask for {head.dataset}@{head.version} by number if you mean it",
            )
        if not _descends(workspace, newer[1], older):
            raise NotTrustedError(
                f"{head.dataset}@{newer[0]} does not descend from version {older[0]} ({older[1]})",
                step=9,
                hint="the history was rewritten: compare with a colleague's state or lock file",
            )
    done(
        9,
        f"on the line of version {max(anchors)[0]}" if anchors else "first use: nothing to compare",
    )
    return remembered


def check_revocations_held(chain: Chain, known: Known, attested: Sequence[Attested]) -> None:
    """Step 9: the registry still has the newest revocations that are known. NotTrustedError."""
    chain.check_holds(None if known.seen is None else known.seen.revocation, "was seen")
    chain.check_holds(None if known.pin is None else known.pin.revocation, "is pinned")
    for one in attested:
        chain.check_holds(one.latest.revocation, "is attested to be the newest")


def _descends(workspace: Workspace, newer: str, older: tuple[int, str]) -> bool:
    """Whether the line of `newer` has the head `older[1]` as number `older[0]`."""
    for digest, head in history(workspace, newer):
        if head.version <= older[0]:
            return (head.version, digest) == older
    return False
