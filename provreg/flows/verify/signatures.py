"""Signatures: bundles over statements of every kind, and who signed a head (steps 1 to 7).

Anybody may add bundles to a registry: one that fails is passed over, and says why. Anybody may add
proposals, too: first of all it is asked whether somebody whom the policy names has signed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import Head
from provreg.core.policy.counting import Verdict, Witness, judge
from provreg.core.policy.policy import Signature
from provreg.core.statements.statement import (
    VERSION_PREDICATE,
    parse_about,
    statement_of,
)
from provreg.errors import FormatError, NotFoundError, NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.manifest import read_version_record
from provreg.trust.bundle import (
    Bundle,
    ClaimedSigner,
    claimed_signer,
    parse_bundle,
    verify_bundle,
)

_SHOWN_SIGNERS = 5


@dataclass(frozen=True, slots=True)
class CheckedBundles:
    """Bundles with the signature that each holds, and by written SHA-256 why others hold none."""

    good: list[tuple[Bundle, Signature]] = field(default_factory=list)
    failed: list[tuple[str, NotTrustedError]] = field(default_factory=list)

    @property
    def signatures(self) -> list[Signature]:
        return [signature for _, signature in self.good]


def check_bundles(
    bundles: Iterable[tuple[str, bytes]],
    trust: Trust,
    wanted: Callable[[Bundle], bool] = lambda _: True,
) -> CheckedBundles:
    """What of `bundles`, (written SHA-256, bytes) each, verifies by the anchors of `trust`.

    Those that are not `wanted` are neither verified nor told of. Whether the policy lets a
    signature count is not asked.
    """
    checked = CheckedBundles()
    for digest, data in bundles:
        try:
            bundle = parse_bundle(data)
            if wanted(bundle):
                checked.good.append((bundle, verify_bundle(bundle, trust.anchors)))
        except NotTrustedError as error:
            checked.failed.append((digest, error))
    return checked


def over(statement: bytes) -> Callable[[Bundle], bool]:
    """The bundles over just this statement (step 5)."""
    return lambda bundle: bundle.payload == statement


def over_digest(digest: str) -> Callable[[Bundle], bool]:
    """The bundles over the statement with this written SHA-256."""
    return lambda bundle: sha256_digest(bundle.payload) == digest


@dataclass(frozen=True, slots=True)
class Skipped:
    """A bundle that was not counted: its digest, the step it failed and why."""

    bundle: str
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A head whose signatures were checked (steps 1 to 7), and what the policy says of them."""

    digest: str
    head: Head
    verdict: Verdict
    signatures: tuple[Signature, ...]
    skipped: tuple[Skipped, ...]


def witness_of(workspace: Workspace, head: Head, digest: str, trust: Trust) -> Witness:
    pin = workspace.pinned(head, digest)
    seen = workspace.witnessed(head, digest, trust.name)
    if pin is None:
        return Witness(seen)
    both = {signer: min(seen.get(signer, at), at) for signer, at in pin.seen.items()}
    return Witness({**seen, **both}, pin.at)


def signed_with_stolen_keys(workspace: Workspace, digest: str, head: Head, trust: Trust) -> bool:
    """Whether all whom the policy knows of who signed a version did so with keys that may have been
    somebody else's by then."""
    signatures, _ = all_signatures(workspace, head, digest, trust)
    witness = witness_of(workspace, head, digest, trust)
    verdict = judge(
        trust.policy, head.dataset, head.version, signatures,
        now=datetime.now(UTC), created=head.created, witness=witness,
    )  # fmt: skip
    return not verdict.approvals and any(signature.stolen for signature in verdict.uncounted)


def is_recorded(workspace: Workspace, head: Head, digest: str) -> bool:
    """Whether the number of the head `digest` belongs to it."""
    try:
        return read_version_record(workspace, head.dataset, head.version) == digest
    except (NotTrustedError, NotFoundError):  # squatted with what is no record, or gone again
        return False


def is_proposal(workspace: Workspace, head: Head, digest: str) -> bool:
    """Whether the head `digest` was proposed and is no version (yet)."""
    list_proposals = workspace.versions.is_proposed(head.dataset, head.version, digest)
    return list_proposals and not is_recorded(workspace, head, digest)


def all_signatures(
    workspace: Workspace, head: Head, digest: str, trust: Trust
) -> tuple[tuple[Signature, ...], tuple[Skipped, ...]]:
    """Every signature over the head `digest` that verifies, and the bundles that do not, and why.

    Whether the policy lets any of them count is not asked.
    """
    bundles = workspace.versions.bundles(digest, head.dataset)
    checked = check_bundles(bundles, trust)
    statement = statement_of(head)
    return (
        tuple(made for bundle, made in checked.good if bundle.payload == statement),
        (*skipped(checked), *over_another(checked.good, statement)),
    )


@dataclass(frozen=True, slots=True)
class BundleSigner:
    """Who made a bundle: its verified signer, or the one it only claims.

    `principal` is whose key or identity that is by the policy, None if it names nobody.
    """

    by: Signature | ClaimedSigner
    principal: str | None = None

    @property
    def is_verified(self) -> bool:
        return isinstance(self.by, Signature)

    @property
    def signer(self) -> str | None:
        """The full fingerprint of the key, or the identity; None if it cannot be read."""
        return (
            (self.by.key or self.by.identity) if isinstance(self.by, Signature) else self.by.signer
        )

    def __str__(self) -> str:
        if self.principal is not None:
            return self.principal
        # Quoted: no identity may look like a principal's name, or like several of them.
        return quoted(str(self.by)) if self.is_verified else f"{self.by}, not verified"


def bundle_signers(
    bundles: Iterable[tuple[str, bytes]], statement: bytes, trust: Trust | None
) -> tuple[BundleSigner, ...]:
    """Who made each of `bundles`, (written SHA-256, bytes), over just this statement."""
    signers = []
    for _, data in bundles:
        try:
            bundle = parse_bundle(data)
        except NotTrustedError:
            continue
        if bundle.payload == statement:
            signers.append(_signer_of(bundle, trust))
    return tuple(signers)


def _signer_of(bundle: Bundle, trust: Trust | None) -> BundleSigner:
    try:
        if trust is not None:
            return verified_signer(verify_bundle(bundle, trust.anchors), trust)
    except NotTrustedError:
        pass
    return BundleSigner(claimed_signer(bundle))


def verified_signer(signature: Signature, trust: Trust) -> BundleSigner:
    principal = trust.policy.signer_of(signature)
    return BundleSigner(signature, None if principal is None else principal.name)


def names_of(signers: Iterable[BundleSigner]) -> tuple[str, ...]:
    """Each signer once, in words; of many the first."""
    names = sorted({str(signer) for signer in signers})
    more = len(names) - _SHOWN_SIGNERS
    return (*names[:_SHOWN_SIGNERS], f"{more:,} more") if more > 0 else tuple(names)


def skipped(checked: CheckedBundles) -> list[Skipped]:
    return [Skipped(digest, error.step, error.message) for digest, error in checked.failed]


def over_another(bundles: Sequence[tuple[Bundle, Signature]], statement: bytes) -> list[Skipped]:
    return [
        Skipped(bundle.digest, 5, "it signs another statement than this head's")
        for bundle, _ in bundles
        if bundle.payload != statement
    ]


def signed_when(signatures: Sequence[Signature]) -> str:
    """The proven times of signatures, in words."""
    times = [f"{made.signed_at:%Y-%m-%d %H:%M:%SZ} by {made.proof}"
             for made in signatures if made.signed_at is not None]  # fmt: skip
    if not times:
        return "a key's signature has no time that could expire"
    return f"signed {', '.join(times)}, while the certificate was valid"


def no_version(head: Head, digest: str) -> NotTrustedError:
    """The refusal of a head whose number does not belong to it and that is no proposal."""
    return NotTrustedError(
        f"number {head.version} of {head.dataset} does not belong to the head {digest}",
        step=5,
        hint="this head lost a race, was replaced or its number deleted: it is not a version",
    )


@dataclass(frozen=True, slots=True)
class PendingProposal:
    """A proposal of version `number` with this head digest; `by` are the principals who signed it,
    whether or not a rule lets them publish: none where the policy names nobody who did."""

    number: int
    digest: str
    by: tuple[str, ...]


def list_proposals(
    workspace: Workspace, dataset: str, trust: Trust, *, above: int = 0
) -> list[PendingProposal]:
    """The proposals of numbers over `above`, ascending, with who signed them."""
    return [
        PendingProposal(number, digest, signers_of(workspace, dataset, number, digest, trust))
        for number, digest in workspace.versions.proposals(dataset, above=above)
    ]


def signed_proposals(
    workspace: Workspace, dataset: str, trust: Trust, *, above: int
) -> list[PendingProposal]:
    """As `list_proposals`, but for those that nobody signed whom the policy names."""
    return [
        proposal
        for proposal in list_proposals(workspace, dataset, trust, above=above)
        if proposal.by
    ]


def signers_of(
    workspace: Workspace, dataset: str, number: int, digest: str, trust: Trust
) -> tuple[str, ...]:
    """The principals of the policy who signed that the head `digest` is this version, by name."""

    def of_this_version(bundle: Bundle) -> bool:
        try:
            about = parse_about(bundle.payload, VERSION_PREDICATE, "the statement")
        except FormatError:
            return False
        return (about.dataset, about.version, about.head) == (dataset, number, digest)

    checked = check_bundles(workspace.versions.bundles(digest, dataset), trust, of_this_version)
    principals = map(trust.policy.signer_of, checked.signatures)
    return tuple(sorted({principal.name for principal in principals if principal is not None}))
