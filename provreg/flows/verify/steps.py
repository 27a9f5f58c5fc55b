"""Verification, step by step (docs/concepts/verification.md): the only way to a `VerifiedVersion`.

1 record and bundles · 2 one signature, in-toto · 3 signature · 4 head · 5 statement · 6 principal ·
7 threshold · 8 revocation and expiry · 9 history · 10 part files · 11 manifest and limits; step 12,
the data, is `flows.verify.data`. They are taken in this order (ADR 34).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from provreg.core.encoding.names import Reference
from provreg.core.encoding.text import counted, printable, quoted
from provreg.core.manifest.head import Head
from provreg.core.policy.counting import Verdict, judge
from provreg.core.policy.policy import PublishRule, Signature
from provreg.core.statements.statement import version_statement
from provreg.errors import DamagedError, NotFoundError, NotTrustedError
from provreg.executors.api import no_report
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.freshness import Attested, Freshness, check_fresh, read_freshness
from provreg.flows.verify.history import (
    Known,
    Lines,
    check_history,
    check_revocations_present,
    known_of,
    remember,
)
from provreg.flows.verify.manifest import (
    Report,
    check_part_files,
    history,
    locate,
    read_head,
    step_error,
)
from provreg.flows.verify.revocations import Chain, InForce, check_lists, read_chain
from provreg.flows.verify.signatures import (
    Signed,
    Skipped,
    check_bundles,
    is_proposal,
    is_recorded,
    no_version,
    over_another,
    signed_when,
    signed_with_stolen_keys,
    skipped,
    witness_of,
)
from provreg.trust.bundle import Bundle

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

    `first_use`: neither the state nor a pin vouched for the dataset's history: step 9 had nothing
    to compare with. `chain` are the registry's revocations, also those of samples of this version.
    `attested` names the newest version and when it was attested. `revoked` is set only if a revoked
    version was allowed.
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

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.verdict.approvals)
        samples = counted(self.head.samples, "sample")
        return f"VerifiedVersion({self.reference}, {samples}, signed by {printable(names)})"

    @cached_property
    def entries(self) -> pa.Table:
        """The entries (schema `entry.ENTRY`), in order of their ids; loaded when asked for."""
        from provreg.flows.verify.manifest import entries_of_checked

        return entries_of_checked(self.workspace, self.head)

    def revoked_samples(self) -> Mask:
        """One bool for each of `entries`, in their order: whether the sample is revoked.

        Raises NotTrustedError where the line, or a version on it, is damaged.
        """
        from provreg.flows.verify.changes import rows_revoked

        samples = self.chain.samples_of(self.head)
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
    allow_revoked: bool = False,
    allow_stale: bool = False,
) -> VerifiedVersion:
    """Steps 1 to 11 for `reference`; remembers the version and what is revoked in the user's state.

    Every finished step goes to `on_step`, also a failed one. `allow_revoked` serves publishing a
    clean version after a revoked one, `allow_stale` signing the next *latest* statement.
    Raises NotTrustedError with the step that refused (RevokedError where that is a revocation),
    NotFoundError where there is no such dataset or version, StorageError where the registry cannot
    be read.
    """
    steps: list[Step] = []

    def done(number: int, detail: str) -> None:
        steps.append(Step(number, True, detail))
        on_step(steps[-1])

    # Before the numbers are listed: what others publish meanwhile is no rollback.
    known = known_of(workspace, reference)
    try:
        number, digest = locate(workspace, reference)
        signed = check_signatures(workspace, reference.dataset, number, digest, trust, done)
        head, judge = signed.head, Judge.of(workspace, trust)
        facts = judge.facts_of(head, known)
        revoked = judge.check_revocation_and_expiry(
            signed, done, allow_revoked=allow_revoked, allow_stale=allow_stale
        )
        remembered = judge.check_history(signed, reference, done)
        check_manifest(workspace, head, digest)
        done(10, f"{len(head.parts)} part files, {sum(part.size for part in head.parts):,} bytes")
        limits = judge.check_limits(signed, held=True)
        done(11, "; ".join([f"{head.samples:,} samples, root {head.root}", *limits]))
    except NotTrustedError as error:
        on_step(Step(error.step, False, error.message))
        raise
    if reference.head is None:
        remember(workspace, signed, trust, judge.chain)
    return VerifiedVersion(
        digest=digest,
        head=head,
        verdict=signed.verdict,
        skipped=signed.skipped,
        steps=tuple(steps),
        first_use=not remembered,
        chain=judge.chain,
        attested=facts.freshness.attested,
        revoked=revoked,
        workspace=workspace,
    )


@dataclass(frozen=True, slots=True)
class Base:
    """The version that changes are compared with."""

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
    _lists: set[str] = field(default_factory=set, init=False, repr=False)

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
        self.check_revocation_and_expiry(signed, allow_stale=not fresh)
        self.check_history(signed, Reference(head.dataset, version=head.version))
        self.check_limits(signed)
        return signed

    def check_revocation_and_expiry(
        self,
        signed: Signed,
        done: Report = no_report,
        *,
        allow_revoked: bool = False,
        allow_stale: bool = False,
    ) -> InForce | None:
        """Step 8: the revocation of the version, which is refused unless `allow_revoked`, and the
        *latest* statement that the policy may ask for."""
        head, freshness = signed.head, self.facts_of(signed.head).freshness
        revoked = self.chain.revoking(head, signed.digest)
        if not (allow_revoked and revoked and self.chain.broken is None):
            self.chain.check(head, signed.digest)
        check_lists(self.workspace, self.chain, head, self._lists)
        if not allow_stale:
            check_fresh(freshness, head, self.trust)
        standing = _standing(self.chain, revoked, freshness)
        done(8, f"{standing}; {signed_when(signed.signatures)}")
        return revoked

    def check_history(self, signed: Signed, reference: Reference, done: Report = no_report) -> bool:
        """Step 9, for a version that `reference` asked for; False where nothing was known of it."""
        facts = self.facts_of(signed.head)
        if facts.hidden is not None:
            raise facts.hidden
        self.lines.heads[signed.digest] = signed.head
        return check_history(
            self.workspace, reference, signed.digest, signed.head,
            facts.known, facts.freshness.attested, done, lines=self.lines,
        )  # fmt: skip

    def check_limits(self, signed: Signed, *, held: bool = False) -> list[str]:
        """Step 11: that what a signed version holds and changes is within its rule, in words; none
        where the rule bounds nothing.

        `held`: its entries were checked. Raises NotTrustedError.
        """
        rule, head = signed.verdict.rule, signed.head
        if rule is None or not rule.checks_content:
            return []
        from provreg.core.changes.content_rules import change_refusals, content_refusals
        from provreg.flows.verify.changes import changes_between
        from provreg.flows.verify.manifest import entries_of_checked, load_entries

        entries = (entries_of_checked if held else load_entries)(self.workspace, head)
        refuse(rule, content_refusals(rule, entries))
        signers = len(signed.verdict.approvals)
        detail = "its sources, labelers and labels are taken"
        # A first version changes nothing: its signers answer for all of it. So does who pinned one.
        pinned = self.workspace.pinned(head, signed.digest) is not None
        if rule.bounds_changes(signers) and pinned:
            detail = "you pinned it, so its changes are not limited"
        elif rule.bounds_changes(signers) and head.parent is not None:
            try:
                base = self.base(head.parent)
                if base is None:
                    raise nothing_before(rule, f"{head.dataset}@{head.version}")
                changes = changes_between(self.workspace, base.head, head)
            except (NotTrustedError, DamagedError, NotFoundError) as error:
                raise step_error(11, error) from None
            load_base = partial(load_entries, self.workspace, base.head)
            refuse(rule, change_refusals(rule, changes, base.head, signers, load_base), base)
            detail = f"{len(changes):,} changes since {base} are within its limits"
        return [f"{detail}, by {rule}"]

    def base(self, digest: str) -> Base | None:
        """The nearest version from the head `digest` back that can be relied on.

        That is one that is not revoked and that the policy trusts: its limits included, unless this
        user has seen it under a policy. Or one that they pinned. Raises NotTrustedError (step 9)
        where the line is broken before one is found.
        """
        base: Base | None = None
        unsettled: list[Base] = []
        for link, head in history(self.workspace, digest):
            if link in self._bases:
                base = self._bases[link]
                break
            candidate = Base(link, head)
            if self._relied_on(candidate) and not self.chain.revoking(head, link):
                base = self._bases[link] = candidate
                break
            unsettled.append(candidate)
        # From the oldest on, so that each is compared with a settled one.
        for candidate in reversed(unsettled):
            self._bases[candidate.digest] = base
            if self._trusts(candidate):
                base = self._bases[candidate.digest] = candidate
        return base

    def facts_of(self, head: Head, known: Known | None = None) -> _Facts:
        """What is known and attested of the dataset of `head`, looked up once.

        `known` is what was known before the registry was listed.
        """
        dataset = (head.dataset, head.uid)
        if dataset not in self._facts:
            if known is None:
                known = known_of(self.workspace, Reference(head.dataset), head.uid)
            known = known.of(self.workspace, head.uid)
            freshness = read_freshness(self.workspace, head.dataset, head.uid, self.trust)
            hidden = None
            try:
                check_revocations_present(self.workspace, self.chain, known, freshness.attested)
            except NotTrustedError as error:
                hidden = error
            self._facts[dataset] = _Facts(known, freshness, hidden)
        return self._facts[dataset]

    def _relied_on(self, version: Base) -> bool:
        """Whether this user took the version before, and by signatures that still stand.

        A pin is their own decision whoever signed; a key that may be a thief's is no reason for it.
        """
        head, digest = version.head, version.digest
        if self.workspace.pinned(head, digest) is not None:
            return not signed_with_stolen_keys(self.workspace, digest, head, self.trust)
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
            # The next *latest* statement is signed before it exists, and limits apply all the same.
            self._check(version.digest, version.head, fresh=False)
        except NotTrustedError:
            return False
        return True


def check_signatures(
    workspace: Workspace,
    dataset: str,
    number: int | None,
    digest: str,
    trust: Trust,
    done: Report = no_report,
    *,
    head: Head | None = None,
) -> Signed:
    """Steps 1 to 7 for the head `digest`, which is asked for as version `number` of `dataset`, or
    by its digest alone.

    `head` is what was read of it, where it was (step 4).
    Of step 8 they check what the policy says of time: keys that have ended, and age.
    """
    bundles = workspace.versions.bundles(digest, dataset)
    signed = read_signatures(workspace, dataset, number, digest, trust, bundles, done, head=head)
    head, verdict = signed.head, signed.verdict
    if not is_recorded(workspace, head, digest):
        if is_proposal(workspace, head, digest):
            raise _only_proposed(signed)
        raise no_version(head, digest)
    done(5, f"{head.dataset}@{head.version}, uid {head.uid}")
    _report_principals(verdict, trust, done)
    verdict.require()
    return signed


def read_signatures(
    workspace: Workspace,
    dataset: str,
    number: int | None,
    digest: str,
    trust: Trust,
    bundles: Iterable[tuple[str, bytes]],
    done: Report = no_report,
    *,
    head: Head | None = None,
) -> Signed:
    """Who signed the head `digest` as version `number`, and what the policy says of them.

    `bundles` are (written SHA-256, bytes). Neither that the policy takes them is asked here, nor
    that the number belongs to the head: it may be published one day. Raises NotTrustedError where
    no signature is left to be judged.
    """
    good, skipped = _check_bundles(bundles, dataset, digest, trust, done)
    head = head or read_head(workspace, digest)
    done(4, digest)
    same, others = _check_statement(good, head, dataset, number, digest)
    verdict = _judge(workspace, digest, head, same, trust)
    return Signed(digest, head, verdict, tuple(same), (*skipped, *others))


def _check_bundles(
    bundles: Iterable[tuple[str, bytes]], dataset: str, digest: str, trust: Trust, done: Report
) -> tuple[list[tuple[Bundle, Signature]], list[Skipped]]:
    """Steps 1 to 3 of every bundle. One that fails is skipped: anybody may add bundles."""
    checked = check_bundles(bundles, trust)
    good, failed = checked.good, checked.failed
    count = len(good) + len(failed)
    if not count:
        raise NotTrustedError(
            f"the head {digest} of {quoted(dataset)} has no signature",
            step=1,
            hint="it was never signed, or its signatures were deleted from the registry",
        )
    for step, what in ((1, "bundles"), (2, "with one signature over an in-toto statement")):
        passed = len(good) + sum(error.step > step for _, error in failed)
        if passed:
            done(step, f"{passed} of {count} {what}")
    if not good:
        # The one that came furthest says best what is wrong.
        raise max((error for _, error in failed), key=lambda error: error.step)
    done(3, ", ".join(str(made) for _, made in good))
    return good, skipped(checked)


def _check_statement(
    bundles: Sequence[tuple[Bundle, Signature]],
    head: Head,
    dataset: str,
    number: int | None,
    digest: str,
) -> tuple[list[Signature], list[Skipped]]:
    """Step 5: the signatures over the statement of this version, and the bundles over others.

    Raises NotTrustedError where there are none, or the head is another version's.
    """
    number = head.version if number is None else number
    statement = version_statement(
        dataset=dataset,
        version=number,
        head=digest,
        uid=head.uid,
        root=head.root,
        samples=head.samples,
    )
    same = [made for bundle, made in bundles if bundle.payload == statement]
    if not same:
        raise NotTrustedError(
            f"no signature is over the statement of {dataset}@{number}: the head it signs is of"
            " another dataset, number or content",
            step=5,
            hint="a signed head was put in another's place: ask who writes to this registry",
        )
    check_named(head, dataset, number)
    return same, over_another(bundles, statement)


def check_named(head: Head, dataset: str, number: int | None) -> None:
    """Step 5, for the head that stands under a name, None as number where its digest was named.

    Raises NotTrustedError for another's.
    """
    number = head.version if number is None else number
    if (head.dataset, head.version) != (dataset, number):
        raise NotTrustedError(
            f"{dataset}@{number} was asked for, the head is {head.dataset}@{head.version}",
            step=5,
            hint="a head was put in another's place: ask who writes to this registry",
        )


def _only_proposed(signed: Signed) -> NotTrustedError:
    head, digest, verdict = signed.head, signed.digest, signed.verdict
    lacks = "enough have signed it" if verdict.trusted else verdict.reason
    return NotTrustedError(
        f"{digest} is a proposal of {head.dataset}@{head.version}, no version: {lacks}",
        step=5,
        hint=verdict.needed or f"`provreg sign {head.dataset}@{digest}` publishes it",
    )


def _judge(
    workspace: Workspace, digest: str, head: Head, signatures: Sequence[Signature], trust: Trust
) -> Verdict:
    """Steps 6, 7 and 8. What was seen is looked up where it can matter: keys that have ended."""
    ask = partial(
        judge, trust.policy, head.dataset, head.version, signatures,
        now=datetime.now(UTC), created=head.created,
    )  # fmt: skip
    verdict = ask()
    if verdict.step == 8:
        return ask(witness=witness_of(workspace, head, digest, trust))
    return verdict


def _report_principals(verdict: Verdict, trust: Trust, done: Report) -> None:
    """Tells of those of steps 6 and 7 that passed."""
    names = [name for name, _ in verdict.approvals]
    if verdict.step == 8:
        # Enough have signed, but not in time.
        late = (signature.principal for signature in verdict.uncounted if signature.step == 8)
        names = list(dict.fromkeys([*names, *filter(None, late)]))
    if names:
        done(6, ", ".join(names))
    if names and verdict.rule is not None and (verdict.trusted or verdict.step == 8):
        done(7, f"{len(names)} of {verdict.rule.threshold} needed, by {trust.origin}")


def _standing(chain: Chain, revoked: InForce | None, freshness: Freshness) -> str:
    """What step 8 found, in words."""
    standing = "nothing is revoked"
    if chain.in_force:
        standing = f"not the version of a revocation in force ({len(chain.in_force)})"
    if revoked is not None:
        standing = printable(str(revoked))
    if freshness.attested:
        standing += f"; newest is {freshness.attested[0]}"
    return standing


def check_manifest(workspace: Workspace, head: Head, digest: str) -> None:
    """Steps 10 and 11, part by part. Where the entries were checked before only the files are read,
    and no Arrow is loaded: every command that relies on a version begins so, and many need no more.
    """
    if digest in workspace.checked:
        check_part_files(workspace, head.parts)
    else:
        from provreg.flows.verify.manifest import load_entries

        load_entries(workspace, head)


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
        f"no version before {name} is trusted, seen or pinned, so nothing can be compared with the"
        f" limits of {rule}",
        step=11,
        hint="pin a version that you rely on: `provreg pin NAME@N`, with --key FILE.pub for its"
        " signer's key if your policy has it no more. If a key ended, its successor signs the"
        " earlier versions too: `provreg sign NAME --all` (docs/guides/keys.md)",
    )
