"""Verification, step by step (docs/verification.md): the only way to a `VerifiedVersion`.

1 bundle · 2 one signature, in-toto · 3 signature · 4 principal · 5 statement · 6 head ·
7 threshold · 8 revocation and expiry · 9 history · 10 part files · 11 manifest; step 12, the data,
is `flows.verify_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from provreg.core.head import Head
from provreg.core.names import Reference
from provreg.core.policy import Signature, Verdict, judge
from provreg.core.statement import version_statement
from provreg.core.text import quoted
from provreg.errors import NotFoundError, NotTrustedError
from provreg.flows.integrity import (
    Report,
    history,
    ignore,
    load_entries,
    read_head,
    recorded,
)
from provreg.flows.trusting import Trust
from provreg.flows.workspace import Workspace
from provreg.store.state import Seen, check_seen
from provreg.trust.bundle import Bundle, parse_bundle, verify_bundle

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
class Skipped:
    """A bundle that was not counted: its digest, the step it failed and why."""

    bundle: str
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A head whose signatures were checked (steps 1 to 8), and what the policy says of them."""

    digest: str
    head: Head
    verdict: Verdict
    signatures: tuple[Signature, ...]
    skipped: tuple[Skipped, ...]


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


def check_signatures(
    workspace: Workspace,
    dataset: str,
    number: int,
    digest: str,
    trust: Trust,
    done: Report = ignore,
) -> Signed:
    """Steps 1 to 8 for the head `digest`, which is asked for as version `number` of `dataset`."""
    bundles, skipped = _check_bundles(workspace, dataset, digest, trust)
    head = read_head(workspace, digest)
    statement = version_statement(
        dataset=dataset,
        version=number,
        head=digest,
        uid=head.uid,
        root=head.root,
        samples=head.samples,
    )
    same = [(bundle, made) for bundle, made in bundles if bundle.payload == statement]
    skipped += [
        Skipped(bundle.digest, 5, "it signs another statement than this head's")
        for bundle, _ in bundles
        if bundle.payload != statement
    ]
    if not same:
        raise NotTrustedError(
            f"no signature is over the statement of {dataset}@{number}: the head it signs is of"
            " another dataset, number or content",
            step=5,
            hint="a signed head was put in another's place: ask who writes to this registry",
        )
    if (head.dataset, head.version) != (dataset, number):
        raise NotTrustedError(
            f"{dataset}@{number} was asked for, the head is {head.dataset}@{head.version}", step=5
        )
    if _owner(workspace, dataset, number) != digest:
        raise NotTrustedError(
            f"number {number} of {dataset} does not belong to the head {digest}",
            step=5,
            hint="this head lost a race, was replaced or its number deleted: it is not a version",
        )
    signatures = tuple(made for _, made in same)
    verdict = judge(trust.policy, dataset, number, signatures)
    verdict.require()
    if workspace.has_revocations():
        raise NotTrustedError(
            "the registry holds revocations, which this provreg cannot read",
            step=8,
            hint="update provreg to a version that does",
        )
    count = f"{len(same)} of {len(same) + len(skipped)} bundles"
    done(1, f"{len(same) + len(skipped)} bundles, {len(skipped)} skipped")
    done(2, f"{count} with one signature over an in-toto statement")
    done(3, ", ".join(str(made) for made in signatures))
    done(4, ", ".join(name for name, _ in verdict.approvals))
    done(5, f"{head.dataset}@{head.version}, uid {head.uid}")
    done(6, digest)
    done(7, f"{len(verdict.approvals)} of {verdict.threshold} needed, by {trust.origin}")
    done(8, f"nothing is revoked; {_signed_when(signatures)}")
    return Signed(digest, head, verdict, signatures, tuple(skipped))


def _signed_when(signatures: Sequence[Signature]) -> str:
    times = [f"{made.signed_at:%Y-%m-%d %H:%M:%SZ} by {made.proof}"
             for made in signatures if made.signed_at is not None]  # fmt: skip
    if not times:
        return "a key's signature has no time that could expire"
    return f"signed {', '.join(times)}, while the certificate was valid"


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


def _owner(workspace: Workspace, dataset: str, number: int) -> str | None:
    """The head that a number belongs to, None where nothing claims it."""
    try:
        return recorded(workspace, dataset, number)
    except NotFoundError:
        return None


def _check_bundles(
    workspace: Workspace, dataset: str, digest: str, trust: Trust
) -> tuple[list[tuple[Bundle, Signature]], list[Skipped]]:
    """Steps 1 to 4 of every bundle. One that fails is skipped: anybody may add bundles."""
    good: list[tuple[Bundle, Signature]] = []
    failed: list[tuple[Skipped, NotTrustedError]] = []
    for bundle_digest, data in workspace.versions.signatures(dataset, digest):
        try:
            bundle = parse_bundle(data)
            good.append((bundle, verify_bundle(bundle, trust.anchors)))
        except NotTrustedError as error:
            failed.append((Skipped(bundle_digest, error.step, error.message), error))
    if not good and failed:
        # The one that came furthest says best what is wrong.
        raise max((error for _, error in failed), key=lambda error: error.step)
    if not good:
        raise NotTrustedError(
            f"the head {digest} of {quoted(dataset)} has no signature",
            step=1,
            hint="it was never signed, or its signatures were deleted from the registry",
        )
    return good, [skipped for skipped, _ in failed]


def _descends(workspace: Workspace, newer: str, older: tuple[int, str]) -> bool:
    """Whether the line of `newer` has the head `older[1]` as number `older[0]`."""
    for digest, head in history(workspace, newer):
        if head.version <= older[0]:
            return (head.version, digest) == older
    return False
