"""Verification, step by step (docs/concepts/verification.md): the only way to a `VerifiedVersion`.

1 record and bundles · 2 one signature, in-toto · 3 signature · 4 head · 5 statement · 6 principal ·
7 threshold · 8 revocation and expiry · 9 history · 10 part files · 11 manifest and limits; step 12,
the data, is `flows.verify.data`. They are taken in this order (ADR 34).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from provreg.core.encoding.names import Reference
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.head import Head
from provreg.core.policy.counting import Verdict
from provreg.core.policy.policy import PublishRule
from provreg.errors import DamagedError, NotFoundError, NotTrustedError
from provreg.executors.api import no_report
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.freshness import Attested, Freshness, check_fresh, read_freshness
from provreg.flows.verify.history import (
    Known,
    Lines,
    check_history,
    check_revocations_held,
    known_of,
    remember,
)
from provreg.flows.verify.manifest import (
    check_part_files,
    history,
    read_head,
    read_version_record,
    step_error,
)
from provreg.flows.verify.revocations import Chain, InForce, read_chain
from provreg.flows.verify.signatures import (
    Signed,
    Skipped,
    check_signatures,
    signed_by_thieves,
    signed_when,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from provreg.core.manifest.columns import Mask

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
        from provreg.flows.verify.manifest import held_entries

        return held_entries(self.workspace, self.head)

    def revoked_samples(self) -> Mask:
        """One bool for each of `entries`, in their order: whether the sample is revoked.

        Raises NotTrustedError where the line, or a version on it, is damaged.
        """
        from provreg.flows.verify.changes import rows_revoked

        found = [one.revocation.samples for one in self.chain.of(self.head)]
        samples = [one for one in found if one is not None]
        return rows_revoked(self.workspace, self.digest, self.head, self.entries, samples)

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
        from provreg.flows.verify.manifest import load_entries

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


@dataclass(frozen=True, slots=True)
class Base:
    """A version that changes are held against."""

    digest: str
    head: Head

    def __str__(self) -> str:
        return f"{self.head.dataset}@{self.head.version}"


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is asked of a dataset, not of each version; `hidden` says which revocation is."""

    known: Known
    freshness: Freshness
    hidden: NotTrustedError | None


@dataclass(frozen=True, slots=True)
class Judge:
    """Asks the policy of versions, of each once: a line is not walked again for every version."""

    workspace: Workspace
    trust: Trust
    chain: Chain
    lines: Lines = field(init=False, repr=False)
    _facts: dict[tuple[str, str], _Facts] = field(default_factory=dict, init=False, repr=False)
    _bases: dict[str, Base | None] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", Lines(self.workspace))

    @classmethod
    def of(cls, workspace: Workspace, trust: Trust) -> Judge:
        """A judge who knows the registry's revocations as they are now."""
        return cls(workspace, trust, read_chain(workspace, trust))

    def check(self, digest: str, head: Head) -> Signed:
        """Steps 1 to 9 and the limits of step 11 for the head `digest`, as who asks for it by its
        number: what `verify` says of it, but for its part files and entries.

        Raises NotTrustedError.
        """
        return self._check(digest, head, fresh=True)

    def _check(self, digest: str, head: Head, *, fresh: bool) -> Signed:
        signed = check_signatures(
            self.workspace, head.dataset, head.version, digest, self.trust, head=head
        )
        self.chain.check(head, digest)
        facts = self._facts_of(head)
        if fresh:
            check_fresh(facts.freshness, head, self.trust)
        if facts.hidden is not None:
            raise facts.hidden
        self.lines.heads[digest] = head
        check_history(
            self.workspace, Reference(head.dataset, version=head.version), digest, head,
            facts.known, facts.freshness.attested, lines=self.lines,
        )  # fmt: skip
        self.check_content(signed)
        return signed

    def check_content(self, signed: Signed, *, held: bool = False) -> list[str]:
        """Step 11: that what a signed version holds and changes is within its rule, in words; none
        where the rule bounds nothing.

        `held`: its entries were checked. Raises NotTrustedError.
        """
        rule, head = signed.verdict.rule, signed.head
        if rule is None or not rule.checks_content:
            return []
        from provreg.core.changes.content_rules import disallowed_origins, exceeded_limits
        from provreg.flows.verify.changes import changes_between
        from provreg.flows.verify.manifest import held_entries, load_entries

        entries = (held_entries if held else load_entries)(self.workspace, head)
        refuse(rule, disallowed_origins(rule, entries))
        signers = len(signed.verdict.approvals)
        detail = "its sources and labelers are taken"
        limits = [limit for limit in rule.limits if not limit.is_waived(signers)]
        # A first version changes nothing: whoever signs it answers for all that it is.
        if limits and head.parent is not None:
            try:
                base = self.base(head.parent)
                if base is None:
                    raise nothing_before(rule, f"{head.dataset}@{head.version}")
                changes = changes_between(self.workspace, base.head, head)
            except (NotTrustedError, DamagedError, NotFoundError) as error:
                raise step_error(11, error) from None
            refuse(rule, exceeded_limits(rule, changes, base.head.samples, signers), base)
            detail = f"{len(changes):,} changes since {base} are within its limits"
        return [f"{detail}, by {rule}"]

    def base(self, digest: str) -> Base | None:
        """The nearest version from the head `digest` back that can be relied on.

        That is one that is not revoked and that the policy trusts: its limits included, unless this
        user has seen it under a policy. Or one that they pinned. Raises NotTrustedError (step 9)
        where the line is broken before one is found.
        """
        found: Base | None = None
        unsettled: list[Base] = []
        for link, head in history(self.workspace, digest):
            if link in self._bases:
                found = self._bases[link]
                break
            here = Base(link, head)
            if self._relied_on(here) and not self.chain.revoking(head, link):
                found = self._bases[link] = here
                break
            unsettled.append(here)
        # From the oldest on, so that each is held against one that is settled.
        for here in reversed(unsettled):
            self._bases[here.digest] = found
            if self._trusts(here):
                found = self._bases[here.digest] = here
        return found

    def _facts_of(self, head: Head) -> _Facts:
        """What is known and attested of the dataset of `head`, looked up once."""
        of = (head.dataset, head.uid)
        if of not in self._facts:
            known = known_of(self.workspace, head.dataset).of(self.workspace, head.uid)
            freshness = read_freshness(self.workspace, head.dataset, head.uid, self.trust)
            hidden = None
            try:
                check_revocations_held(self.workspace, self.chain, known, freshness.attested)
            except NotTrustedError as error:
                hidden = error
            self._facts[of] = _Facts(known, freshness, hidden)
        return self._facts[of]

    def _relied_on(self, version: Base) -> bool:
        """Whether this user took the version before, and by signatures that still stand.

        A pin is their own decision whoever signed; a key that may be a thief's is no reason for it.
        """
        head, digest = version.head, version.digest
        if self.workspace.pinned(head, digest) is not None:
            return not signed_by_thieves(self.workspace, digest, head, self.trust)
        if not self.workspace.witnessed(head, digest, self.trust.name):
            return False
        try:
            check_signatures(
                self.workspace, head.dataset, head.version, digest, self.trust, head=head
            )
        except NotTrustedError:
            return False
        return True

    def _trusts(self, version: Base) -> bool:
        try:
            # Whoever signs the next *latest* statement has none yet, and limits all the same.
            self._check(version.digest, version.head, fresh=False)
        except NotTrustedError:
            return False
        return True


def refuse(rule: PublishRule, refusals: Sequence[str], base: Base | None = None) -> None:
    """Raises NotTrustedError (step 11) for what `rule` does not take, where there is anything."""
    if not refusals:
        return
    since = "" if base is None else f" since {base}"
    raise NotTrustedError(
        f"{rule} does not take this{since}: {'; '.join(refusals)}",
        step=11,
        hint="look at it with `provreg diff`; if it is right, more must sign it (`provreg sign`)"
        " where the rule says so, or the policy be changed",
    )


def nothing_before(rule: PublishRule, name: str) -> NotTrustedError:
    """The refusal where limits find no version to compare `name` with."""
    return NotTrustedError(
        f"no version before {name} is trusted, seen or pinned, so nothing can be held against the"
        f" limits of {rule}",
        step=11,
        hint="verify or pin an earlier version that you rely on, trusting its signer with --key",
    )
