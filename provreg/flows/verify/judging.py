"""What the policy says of a version, its content included: steps 1 to 9, the limits of step 11.

Signatures are looked at first. Where the rule has limits, a version is compared with the nearest
version before it that can be relied on, not blindly with its parent: who may change little could
otherwise publish too much in one version, and next to nothing in a second one upon it (ADR 0008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from provreg.core.encoding.names import Reference
from provreg.core.manifest.head import Head
from provreg.core.policy.policy import PublishRule
from provreg.errors import DamagedError, NotFoundError, NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.freshness import Freshness, check_fresh, read_freshness
from provreg.flows.verify.history import (
    Known,
    Lines,
    check_history,
    check_revocations_held,
    known_of,
)
from provreg.flows.verify.integrity import history, step_error
from provreg.flows.verify.revocations import Chain, read_chain
from provreg.flows.verify.signatures import Signed, check_signatures, signed_by_thieves


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
        from provreg.flows.verify.compare import changes_between
        from provreg.flows.verify.entries import held_entries, load_entries

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
