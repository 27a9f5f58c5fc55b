"""Receipts of training runs: their content, their signers, and whether they are still trusted.

A receipt is shown whoever signed it, and marked: an incident is made of those too. It is trusted
where the policy's `[[train]]` rules are met for every dataset that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from provreg.core.encoding.bitmap import max_bytes, unpack
from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.head import MAX_HEAD_BYTES
from provreg.core.policy.counting import count_principals
from provreg.core.policy.policy import Policy, Signature
from provreg.core.statements.receipt import Receipt, TrainingInput, parse_receipt
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.changes import rows_revoked
from provreg.flows.verify.lineage import CountedSigner
from provreg.flows.verify.manifest import load_entries, read_head
from provreg.flows.verify.signatures import check_bundles, over_digest
from provreg.flows.verify.steps import Judge
from provreg.trust.bundle import parse_bundle

NOBODY = "no policy and no key says whom to trust"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not trusted, and the step of docs/concepts/verification.md that says so."""

    step: int
    reason: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A version that a run read, and why the policy does not trust it (any more), if so.

    `revoked` counts the samples it was handed that are revoked, by their source or labeler.
    """

    on: TrainingInput
    refused: Refusal | None
    revoked: int

    @property
    def name(self) -> str:
        return f"{self.on.dataset}@{self.on.version}"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A receipt, by the written SHA-256 of its statement, and what the policy says of it.

    `signers` are the principals counted; `refused` is why it is not trusted, if so. Whether its
    versions are trusted is another question: `versions`.
    """

    digest: str
    receipt: Receipt
    signers: tuple[CountedSigner, ...]
    refused: Refusal | None
    versions: tuple[Standing, ...]

    def __repr__(self) -> str:
        signers = ", ".join(signer.principal for signer in self.signers) or "UNTRUSTED"
        return f"TrainingRun({self.digest}, {self.receipt}, signed by {printable(signers)})"


def read_receipt(workspace: Workspace, digest: str) -> Receipt:
    """The receipt whose statement has that SHA-256, regardless of its signers.

    Raises NotFoundError for an unknown receipt, FormatError for a malformed one, DamagedError where
    it contradicts the head of a version that this registry has.
    """
    return _checked(workspace, _statement(workspace, digest))


def members(workspace: Workspace, on: TrainingInput) -> npt.NDArray[np.bool_]:
    """Which samples a run was handed, bool of shape (samples,) in the order of the version's ids.

    Raises NotFoundError and DamagedError where that cannot be told.
    """
    found = unpack(workspace.objects.get(on.bitmap, limit=max_bytes(on.samples)), on.samples)
    if np.count_nonzero(found) != on.seen:
        raise FormatError(f"the bitmap {on.bitmap} does not hold {on.seen:,} samples")
    return found


def homes_of(workspace: Workspace, on: TrainingInput) -> tuple[Workspace, ...]:
    """The registries that have a version: the receipt's own, or those beside it (`also`).

    Empty if none has. Copies of a version have one head; each registry has its own signatures and
    revocations, which all must agree.
    """
    return tuple(home for home in (workspace, *workspace.also) if _has_version(home, on))


def entries_of(workspace: Workspace, on: TrainingInput) -> pa.Table:
    """The entries of a version, from the first registry that has it.

    Raises NotFoundError if none has, NotTrustedError and DamagedError where they cannot be read.
    """
    homes = homes_of(workspace, on)
    if not homes:
        raise NotFoundError(not_here(on))
    return load_entries(homes[0], read_head(homes[0], on.head))


def not_here(on: TrainingInput) -> str:
    """Why nothing can be said of a version that no registry at hand has."""
    return (
        f"{on.dataset}@{on.version} (uid {on.uid}) is not in this registry; name the one that has"
        " it with --also"
    )


def _has_version(workspace: Workspace, on: TrainingInput) -> bool:
    """Whether a registry has the head of a version, sound or not."""
    try:
        workspace.objects.get(on.head, limit=MAX_HEAD_BYTES)
    except NotFoundError:
        return False
    except DamagedError:
        return True
    return True


class RunJudge:
    """Runs as `trust` sees them now; a version is judged once, however many runs read it."""

    def __init__(self, workspace: Workspace, trust: Trust | None) -> None:
        self._workspace = workspace
        self._trust = trust
        self._judges: dict[str, Judge] = {}
        self._refusals: dict[tuple[str, int, str], Refusal | None] = {}
        self._revoked: dict[str, list[npt.NDArray[np.bool_]]] = {}

    def run(self, digest: str) -> TrainingRun:
        """A receipt with what the policy says of its signatures and versions; raises as
        `read_receipt`."""
        receipt = read_receipt(self._workspace, digest)
        versions = tuple(map(self._standing, receipt.datasets))
        try:
            signers = self._signers(digest, receipt)
        except NotTrustedError as error:
            return TrainingRun(digest, receipt, (), Refusal(error.step, error.message), versions)
        return TrainingRun(digest, receipt, signers, None, versions)

    def runs(self, digests: Iterable[str]) -> Iterator[TrainingRun]:
        """Those of `digests` that can be judged.

        The others are reported and passed over: anybody can store a receipt and take it back by
        half, and must not keep the others from being found.
        """
        for digest in digests:
            try:
                run = self.run(digest)
            except (DamagedError, NotFoundError, NotTrustedError) as error:
                self._workspace.runs.report(f"the receipt {digest} is passed over: {error.message}")
            else:
                yield run

    def _signers(self, digest: str, receipt: Receipt) -> tuple[CountedSigner, ...]:
        """Steps 3, 6 and 7 for a receipt. Raises NotTrustedError."""
        if self._trust is None:
            raise NotTrustedError(NOBODY, step=6)
        bundles = self._workspace.runs.bundles(digest)
        checked = check_bundles(bundles, self._trust, over_digest(digest))
        if not checked.good:
            raise max((error for _, error in checked.failed), key=lambda error: error.step)
        return _approvals(receipt, checked.signatures, self._trust.policy)

    def _standing(self, on: TrainingInput) -> Standing:
        version = (on.dataset, on.version, on.head)
        if version not in self._refusals:
            self._refusals[version] = self._refusal(on)
        refused, revoked = self._refusals[version], 0
        try:
            revoked = self._handed_revoked(on)
        except (DamagedError, NotFoundError, NotTrustedError) as error:
            step = error.step if isinstance(error, NotTrustedError) else 11
            refused = refused or Refusal(step, error.message)
        return Standing(on, refused, revoked)

    def _refusal(self, on: TrainingInput) -> Refusal | None:
        """Why a version is not trusted now (steps 1 to 9, limits), None if it is."""
        if self._trust is None:
            return Refusal(6, NOBODY)
        homes = homes_of(self._workspace, on)
        if not homes:
            return Refusal(6, not_here(on))
        for home in homes:
            try:
                self._judge_of(home, self._trust).check(on.head, read_head(home, on.head))
            except NotTrustedError as error:
                return Refusal(error.step, error.message)
        return None

    def _judge_of(self, home: Workspace, trust: Trust) -> Judge:
        if home.location not in self._judges:
            self._judges[home.location] = Judge.of(home, trust)
        return self._judges[home.location]

    def _handed_revoked(self, on: TrainingInput) -> int:
        """How many of the samples a run was handed are revoked by their source or labeler."""
        if self._trust is None:
            return 0
        if on.head not in self._revoked:
            homes = homes_of(self._workspace, on)
            found = (self._revoked_rows(home, on, self._trust) for home in homes)
            self._revoked[on.head] = [rows for rows in found if rows is not None]
        masks = self._revoked[on.head]
        if not masks:
            return 0
        return int(np.count_nonzero(np.logical_or.reduce(masks) & members(self._workspace, on)))

    def _revoked_rows(
        self, home: Workspace, on: TrainingInput, trust: Trust
    ) -> npt.NDArray[np.bool_] | None:
        """The samples of a version that are revoked in one registry, None where none can be."""
        chain = self._judge_of(home, trust).chain
        if not chain.in_force:
            return None
        head = read_head(home, on.head)
        samples = chain.samples_of(head)
        if not samples:
            return None
        return rows_revoked(home, on.head, head, load_entries(home, head), samples)


def _statement(workspace: Workspace, digest: str) -> bytes:
    """The statement `digest`, out of a well-formed bundle over it."""
    complaint: NotTrustedError | None = None
    for _, data in workspace.runs.bundles(digest):
        try:
            bundle = parse_bundle(data)
        except NotTrustedError as error:
            complaint = error
            continue
        if sha256_digest(bundle.payload) == digest:
            return bundle.payload
    if complaint is not None:
        raise FormatError(f"the receipt {digest} has no sound bundle: {complaint.message}")
    raise NotFoundError(f"there is no receipt {digest}")


def _checked(workspace: Workspace, statement: bytes) -> Receipt:
    receipt = parse_receipt(statement)
    for on in receipt.datasets:
        home = next(iter(homes_of(workspace, on)), workspace)
        try:
            head = read_head(home, on.head)
        except NotTrustedError:  # a version of another registry
            continue
        claimed = (on.dataset, on.version, on.uid, on.samples)
        if claimed != (head.dataset, head.version, head.uid, head.samples):
            raise DamagedError(
                f"the receipt says that {on.head} is {on.dataset}@{on.version} with"
                f" {on.samples:,} samples, uid {on.uid}: it is {head.dataset}@{head.version} with"
                f" {head.samples:,}, uid {head.uid}"
            )
    return receipt


def _approvals(
    receipt: Receipt, signatures: Sequence[Signature], policy: Policy
) -> tuple[CountedSigner, ...]:
    """Whose signatures count by the rules of all its datasets. Raises NotTrustedError."""
    approvals: dict[str, Signature] = {}
    for name in sorted({on.dataset for on in receipt.datasets}):
        rule = policy.train_rule(name)
        if rule is None:
            raise NotTrustedError(
                f"no [[train]] rule of the policy covers {quoted(name)}",
                step=6,
                hint="add one that names whose receipts count",
            )
        count = count_principals(
            policy, rule, signatures, now=datetime.now(UTC), created=receipt.finished
        )
        if not count.is_met:
            who = ", ".join(str(signature) for signature in count.uncounted)
            raise NotTrustedError(
                f"not enough whose receipts count by {rule} have signed it"
                + (f"; not counted: {who}" if who else ""),
                step=7 if count.approvals else 6,
                hint=count.needed,
            )
        approvals |= dict(count.approvals)
    return tuple(CountedSigner(name, signature) for name, signature in approvals.items())
