"""Verification, step by step (docs/concepts/verification.md): the only way to a `VerifiedVersion`.

1 record and bundles · 2 one signature, in-toto · 3 signature · 4 head · 5 statement · 6 principal ·
7 threshold · 8 revocation and expiry · 9 history · 10 part files · 11 manifest and limits; step 12,
the data, is `flows.verify.data`. They are taken in this order (ADR 34).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from provreg.core.encoding.names import Reference
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.head import Head
from provreg.core.policy.counting import Verdict
from provreg.errors import DamagedError, NotFoundError, NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.freshness import Attested, Freshness, check_fresh, read_freshness
from provreg.flows.verify.history import (
    Known,
    check_history,
    check_revocations_held,
    known_of,
    remember,
)
from provreg.flows.verify.integrity import (
    check_part_files,
    no_report,
    read_head,
    read_version_record,
)
from provreg.flows.verify.judging import Judge
from provreg.flows.verify.revocations import Chain, InForce, read_chain
from provreg.flows.verify.signatures import Skipped, check_signatures, signed_when

if TYPE_CHECKING:
    import pyarrow as pa

STEPS = {
    1: "record and bundles",
    2: "one signature",
    3: "signature",
    4: "head",
    5: "statement",
    6: "principal",
    7: "threshold",
    8: "revocation and expiry",
    9: "history",
    10: "part files",
    11: "manifest and limits",
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


@dataclass(frozen=True)
class VerifiedVersion:
    """A version that passed steps 1 to 11: what loaders and ingestion may build on.

    `first_use` says that neither
    state nor a pin vouched for the dataset's history (step 9 had nothing to compare with). `chain`
    are the registry's revocations, those of samples of this version too; `attested` says what was
    the newest version and when. `revoked` is set only where a revoked version was asked for.
    """

    digest: str
    head: Head
    verdict: Verdict
    skipped: tuple[Skipped, ...]
    steps: tuple[Step, ...]
    first_use: bool
    chain: Chain
    attested: tuple[Attested, ...]
    revoked: InForce | None
    workspace: Workspace = field(repr=False)

    @cached_property
    def entries(self) -> pa.Table:
        """The entries (schema `entry.ENTRY`), in order of their ids; loaded when asked for."""
        from provreg.flows.verify.entries import held_entries

        return held_entries(self.workspace, self.head)

    @property
    def reference(self) -> str:
        return f"{self.head.dataset}@{self.head.version}"


def verify(
    workspace: Workspace,
    reference: Reference,
    trust: Trust,
    *,
    on_step: Callable[[Step], None] = no_report,
    even_revoked: bool = False,
    even_stale: bool = False,
) -> VerifiedVersion:
    """Steps 1 to 11 for `reference`; remembers the version and what is revoked in the user's state.

    Every finished step goes to `on_step`, a failed one too. `even_revoked` is for whoever publishes
    a clean version upon a revoked one, `even_stale` for whoever signs the next *latest* statement.
    Raises NotTrustedError with the step that refused (RevokedError where that is a revocation),
    NotFoundError where there is no such dataset or version, StorageError where the registry cannot
    be read.
    """
    steps: list[Step] = []

    def done(number: int, detail: str) -> None:
        steps.append(Step(number, True, detail))
        on_step(steps[-1])

    # Before the numbers are listed: what others publish meanwhile is no rollback.
    known = look(workspace, reference)
    try:
        number, digest = locate(workspace, reference)
        signed = check_signatures(workspace, reference.dataset, number, digest, trust, done)
        head = signed.head
        known = known.of(workspace, head.uid)
        chain = read_chain(workspace, trust)
        freshness = read_freshness(workspace, head.dataset, head.uid, trust)
        revoked = chain.revoking(head, digest)
        if not (even_revoked and revoked and chain.broken is None):
            chain.check(head, digest)
        if not even_stale:
            check_fresh(freshness, head, trust)
        done(8, f"{_standing(chain, revoked, freshness)}; {signed_when(signed.signatures)}")
        check_revocations_held(workspace, chain, known, freshness.attested)
        remembered = check_history(
            workspace, reference, digest, head, known, freshness.attested, done
        )
        _check_manifest(workspace, head, digest)
        done(10, f"{len(head.parts)} part files, {sum(part.size for part in head.parts):,} bytes")
        limits = Judge(workspace, trust, chain).check_content(signed, held=True)
        done(11, "; ".join([f"{head.samples:,} samples, root {head.root}", *limits]))
    except NotTrustedError as error:
        on_step(Step(error.step, False, error.message))
        raise
    if reference.head is None:
        remember(workspace, signed, trust, chain)
    return VerifiedVersion(
        digest=digest,
        head=head,
        verdict=signed.verdict,
        skipped=signed.skipped,
        steps=tuple(steps),
        first_use=not remembered,
        chain=chain,
        attested=freshness.attested,
        revoked=revoked,
        workspace=workspace,
    )


def look(workspace: Workspace, reference: Reference) -> Known:
    """What is known of the dataset that `reference` names, before the registry is asked for it."""

    def shown() -> str | None:
        with suppress(NotFoundError, NotTrustedError, DamagedError):
            return read_head(workspace, locate(workspace, reference)[1]).uid
        return None

    return known_of(workspace, reference.dataset, shown)


def _check_manifest(workspace: Workspace, head: Head, digest: str) -> None:
    """Steps 10 and 11, part by part. Where the entries were checked before only the files are read,
    and no Arrow is loaded: every command that relies on a version begins so, and many need no more.
    """
    if digest in workspace.checked:
        check_part_files(workspace, head.parts)
    else:
        from provreg.flows.verify.entries import load_entries

        load_entries(workspace, head)


def _standing(chain: Chain, revoked: InForce | None, freshness: Freshness) -> str:
    """What step 8 found, in words."""
    said = "nothing is revoked"
    if chain.in_force:
        said = f"not the version of a revocation in force ({len(chain.in_force)})"
    if revoked is not None:
        said = printable(str(revoked))
    if freshness.attested:
        said += f"; newest is {freshness.attested[0]}"
    return said


def locate(workspace: Workspace, reference: Reference) -> tuple[int | None, str]:
    """(number, head digest) that `reference` stands for by the registry's word alone.

    The number of a head that is named by its digest is None: the head says it, once it is read.
    """
    if reference.head is None and reference.version is not None:
        # Not listed: a version asked for by number costs the same however many there are.
        with suppress(NotFoundError):
            return reference.version, read_version_record(
                workspace, reference.dataset, reference.version
            )
    numbers = workspace.versions.numbers(reference.dataset)
    proposals = [] if numbers else workspace.versions.proposals(reference.dataset)
    if reference.head is not None and (numbers or proposals):
        return None, reference.head
    if not numbers:
        if proposals:
            raise NotFoundError(
                f"{reference.dataset} has no version yet, only proposals",
                hint="`provreg ls --proposals` lists them, and what each lacks",
            )
        raise NotFoundError(
            f"there is no dataset {quoted(reference.dataset)} in {quoted(workspace.location)}",
            hint="`provreg ls` lists the datasets; `--registry` chooses another registry",
        )
    number = numbers[-1] if reference.version is None else reference.version
    if number not in numbers:
        proposals = workspace.versions.proposals(reference.dataset, above=numbers[-1])
        waits = any(one == number for one, _ in proposals)
        raise NotFoundError(
            f"{reference.dataset} has no version {number}, its newest is {numbers[-1]}",
            hint="a proposal of it waits: `provreg ls --proposals` names it"
            if waits
            else f"`provreg log {reference.dataset}` lists the versions",
        )
    return number, read_version_record(workspace, reference.dataset, number)
