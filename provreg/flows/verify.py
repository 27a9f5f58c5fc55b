"""Verification, step by step (docs/verification.md): the only way to a `VerifiedVersion`.

1 bundle · 2 one signature, in-toto · 3 signature · 4 principal · 5 statement · 6 head ·
7 threshold · 8 revocation and expiry · 9 history · 10 part files · 11 manifest; step 12, the data,
is `flows.verify_data`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from provreg.core.head import Head
from provreg.core.names import Reference
from provreg.core.text import quoted
from provreg.core.verdict import Verdict
from provreg.errors import NotFoundError, NotTrustedError
from provreg.flows.integrity import (
    Report,
    history,
    ignore,
    load_entries,
    read_head,
    recorded,
)
from provreg.flows.signatures import Skipped, check_signatures
from provreg.flows.trusting import Trust
from provreg.flows.workspace import Workspace
from provreg.store.state import Seen, check_seen

STEPS = {
    1: "bundle",
    2: "one signature",
    3: "signature",
    4: "principal",
    5: "statement",
    6: "head",
    7: "threshold",
    8: "revocation and expiry",
    9: "history",
    10: "part files",
    11: "manifest",
    12: "data",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of verification found."""

    number: int
    ok: bool
    detail: str

    @property
    def name(self) -> str:
        return STEPS[self.number]


@dataclass(frozen=True, slots=True)
class VerifiedVersion:
    """A version that passed steps 1 to 11: what loaders and ingestion may build on.

    `entries` (schema `core.entry.ENTRY`) are in order of their ids. `first_use` says that neither
    state nor a pin vouched for the dataset's history (step 9 had nothing to compare with).
    """

    digest: str
    head: Head
    verdict: Verdict
    skipped: tuple[Skipped, ...]
    entries: pa.Table
    steps: tuple[Step, ...]
    first_use: bool

    @property
    def reference(self) -> str:
        return f"{self.head.dataset}@{self.head.version}"


def verify(
    workspace: Workspace,
    reference: Reference,
    trust: Trust,
    *,
    on_step: Callable[[Step], None] = ignore,
) -> VerifiedVersion:
    """Steps 1 to 11 for `reference`; remembers the version in the user's state.

    Every finished step goes to `on_step`, a failed one too. Raises NotTrustedError with the step
    that refused, NotFoundError where there is no such dataset or version, StorageError where the
    registry cannot be read.
    """
    steps: list[Step] = []

    def done(number: int, detail: str) -> None:
        steps.append(Step(number, True, detail))
        on_step(steps[-1])

    # Before the numbers are listed: what others publish meanwhile is no rollback.
    seen = workspace.seen(reference.dataset)
    try:
        number, digest = locate(workspace, reference)
        signed = check_signatures(workspace, reference.dataset, number, digest, trust, done)
        first_use = check_history(workspace, reference, digest, signed.head, seen, done)
        entries = load_entries(workspace, signed.head, done)
    except NotTrustedError as error:
        on_step(Step(error.step, False, error.message))
        raise
    version = VerifiedVersion(
        signed.digest,
        signed.head,
        signed.verdict,
        signed.skipped,
        entries,
        tuple(steps),
        first_use,
    )
    if reference.head is None:
        workspace.remember(signed.head, signed.digest)
    return version


def locate(workspace: Workspace, reference: Reference) -> tuple[int, str]:
    """(number, head digest) that `reference` stands for by the registry's word alone."""
    numbers = workspace.versions.numbers(reference.dataset)
    if not numbers:
        raise NotFoundError(
            f"there is no dataset {quoted(reference.dataset)} in {quoted(workspace.location)}",
            hint="`provreg ls` lists the datasets; `--registry` chooses another registry",
        )
    if reference.head is not None:
        return read_head(workspace, reference.head).version, reference.head
    number = numbers[-1] if reference.version is None else reference.version
    if number not in numbers:
        raise NotFoundError(
            f"{reference.dataset} has no version {number}, its newest is {numbers[-1]}",
            hint=f"`provreg log {reference.dataset}` lists the versions",
        )
    return number, recorded(workspace, reference.dataset, number)


def check_history(
    workspace: Workspace,
    reference: Reference,
    digest: str,
    head: Head,
    seen: Seen | None,
    done: Report = ignore,
) -> bool:
    """Step 9: the head `digest` descends from what was seen or pinned. True where nothing was."""
    pin = workspace.pins.get(head.dataset)
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
    if reference.head is not None:
        done(9, "named by digest: exempt")
        return not anchors
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
    return not anchors


def _descends(workspace: Workspace, newer: str, older: tuple[int, str]) -> bool:
    """Whether the line of `newer` has the head `older[1]` as number `older[0]`."""
    for digest, head in history(workspace, newer):
        if head.version <= older[0]:
            return (head.version, digest) == older
    return False
