"""The facade: a registry as a Python user sees it, with the policy that judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.names import Reference
from provreg.errors import NotTrustedError

if TYPE_CHECKING:
    from datetime import timedelta

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from provreg.core.policy.policy import Signature
    from provreg.core.statements.receipt import Receipt, TrainingInput
    from provreg.core.statements.revocation import RevokedSamples
    from provreg.executors.api import Progress
    from provreg.flows.history.blame import Blamed
    from provreg.flows.history.diff import Diff
    from provreg.flows.history.refetch import Refetched
    from provreg.flows.index.check import Problem
    from provreg.flows.index.sync import Damaged
    from provreg.flows.ingest.publish import Outcome
    from provreg.flows.ingest.request import Ingestion
    from provreg.flows.receipts.exposure import Choose, Exposure, UnresolvedReceipt
    from provreg.flows.receipts.models import ModelMatch
    from provreg.flows.receipts.runs import TrainingRun
    from provreg.flows.session.trust import Trust
    from provreg.flows.session.workspace import Workspace
    from provreg.flows.sign.countersign import Countersigned, Review
    from provreg.flows.sign.latest import SignedLatest
    from provreg.flows.sign.proposals import Proposal
    from provreg.flows.sign.revoke import RevocationPlan, Revoked
    from provreg.flows.verify.freshness import Freshness
    from provreg.flows.verify.lineage import Ancestor
    from provreg.flows.verify.signatures import Skipped, Waiting
    from provreg.flows.verify.steps import Step, VerifiedVersion
    from provreg.readers.web.bounds import Bounds
    from provreg.store.private.state import Pin, PlaceMemory
    from provreg.trust.signers import Signer
    from provreg.trust.sigstore.root import TrustedRoot


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry and whom to trust in it.

    Made by `Registry.open` or `Registry.init`. `warnings` collects what was passed over: files in
    the registry that are not what their names say. `damaged` are the numbers whose integrity did
    not hold when the index was last brought up to date.
    """

    workspace: Workspace
    trust: Trust | None
    root: TrustedRoot | None = None
    warnings: list[str] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)

    @classmethod
    def init(cls, folder: Path) -> Path:
        """Makes an empty registry of `folder`, or leaves one that is there as it is.

        Returns its folder. Raises UsageError for a folder with anything else in it, StorageError.
        """
        from provreg.store.registry.folder import init

        init(folder)
        return folder

    @classmethod
    def open(
        cls,
        folder: Path | None = None,
        *,
        policy: Path | None = None,
        key: Path | None = None,
        identity: str | None = None,
        issuer: str | None = None,
        trusted_root: Path | None = None,
        staging: bool = False,
        lock: Path | None = None,
        outside: Sequence[Path] = (),
        notice: Callable[[str], None] | None = None,
    ) -> Registry:
        """The registry in `folder`, by default PROVREG_REGISTRY or the nearest `.provreg` upward.

        Whom to trust says `key`, a public key file trusted alone, or `identity` by `issuer`, or
        `policy`, or a policy found as docs/reference/policy.md tells; data folders in `outside` are
        never searched for one. Keyless signatures are verified against `trusted_root`, by default
        PROVREG_TRUSTED_ROOT or the one in sigstore-python (docs/guides/keyless.md). `lock` is a
        file of pins, by default the nearest `provreg.lock` upward. `notice` hears whom a long wait
        is for. Raises NotFoundError without a registry, NotTrustedError (step 6) for a policy
        somebody may have planted.
        """
        from provreg.executors.api import no_report
        from provreg.flows.session.workspace import Where, Whom, open_as_asked

        where = Where(folder, lock, tuple(outside))
        whom = Whom(policy, key, identity, issuer, trusted_root, staging)
        warnings: list[str] = []
        opened = open_as_asked(where, whom, report=warnings.append, notice=notice or no_report)
        return cls(opened.workspace, opened.trust, opened.root, warnings)

    def ingest(
        self,
        ingestion: Ingestion,
        signer: Signer,
        *,
        progress: Progress | None = None,
    ) -> Outcome:
        """Reads, signs and publishes the next version, unless nothing changed.

        What the policy would not trust is refused, or proposed where `ingestion` says so.

        Where nothing says whom to trust, the signer itself is: one's own versions can be continued
        without a policy. Raises as `flows.ingest.ingest.ingest`.
        """
        from provreg.flows.ingest.ingest import ingest

        trust = self.trust or self._own_trust(signer)
        return ingest(self.workspace, ingestion, signer, trust, progress=progress)

    def dry_run(
        self,
        ingestion: Ingestion,
        signer: Signer | None = None,
        *,
        progress: Progress | None = None,
    ) -> Outcome:
        """What `ingest` would do, without doing it."""
        from provreg.flows.ingest.ingest import dry_run

        trust = self.trust or (None if signer is None else self._own_trust(signer))
        return dry_run(self.workspace, ingestion, trust, signer, progress=progress)

    def verify(
        self,
        reference: str,
        *,
        data: Sequence[Path] = (),
        on_step: Callable[[Step], None] | None = None,
        progress: Progress | None = None,
    ) -> VerifiedVersion:
        """Steps 1 to 11 for `reference`, and 12 where `data` is given.

        Raises NotTrustedError with the step that refused; that of step 12 holds a finding for
        every sample that is not as signed. A proposal, named by its digest, goes through the steps
        that it can pass, and is refused then.
        """
        from provreg.executors.api import no_report
        from provreg.flows.verify.steps import verify

        listener = on_step or no_report
        asked, trust = Reference.parse(reference), self.require_trust()
        if asked.head is not None:
            self._refuse_proposal(asked, trust, data, listener, progress)
        version = verify(self.workspace, asked, trust, on_step=listener)
        if data:
            from provreg.flows.verify.data import verify_data

            verify_data(
                version.workspace,
                version.head,
                version.entries,
                data,
                on_step=listener,
                progress=progress,
            )
        return version

    def _refuse_proposal(
        self,
        asked: Reference,
        trust: Trust,
        data: Sequence[Path],
        on_step: Callable[[Step], None],
        progress: Progress | None,
    ) -> None:
        """Raises NotTrustedError where `asked` is a proposal."""
        from provreg.flows.sign.proposals import find_proposal, verify_proposal

        proposal = find_proposal(self.workspace, asked, trust)
        if proposal is not None:
            verify_proposal(
                self.workspace, proposal, trust, data, on_step=on_step, progress=progress
            )

    def proposals(self) -> list[Proposal]:
        """All that was proposed and is no version (yet), with what each lacks."""
        from provreg.flows.sign.proposals import proposals

        return proposals(self.workspace, self.require_trust())

    def waiting(self, dataset: str) -> list[Waiting]:
        """The proposals above the newest number that somebody signed whom the policy names."""
        from provreg.flows.verify.signatures import waiting

        if self.trust is None:
            return []
        newest = max(self.workspace.versions.numbers(dataset), default=0)
        return waiting(self.workspace, dataset, self.trust, above=newest)

    def only_proposed(self) -> list[str]:
        """The datasets that have no version yet, and proposals that wait."""
        versions = self.workspace.versions
        return sorted(set(versions.proposed()) - set(versions.datasets()))

    def tidy_proposals(self) -> list[str]:
        """Takes away the proposals whose number is taken: nobody can complete them any more.

        Returns them as `NAME@sha256:…`. Raises StorageError where that is not allowed.
        """
        versions = self.workspace.versions
        return [f"{name}@{head}" for name in versions.proposed() for _, head in versions.tidy(name)]

    def review(self, reference: str, *, after_revoked: bool = False) -> Review:
        """What a countersigner of `reference` should see first: `flows.sign.countersign.review`."""
        from provreg.flows.sign.countersign import review

        asked = Reference.parse(reference)
        return review(self.workspace, asked, self.trust, after_revoked=after_revoked)

    def countersign(
        self, reviewed: Review, signer: Signer, *, after_revoked: bool = False
    ) -> Countersigned:
        """Adds the signature of `signer` to what was reviewed; publishes a proposal that is
        complete then."""
        from provreg.flows.sign.countersign import countersign

        return countersign(
            self.workspace, reviewed, signer, self.trust, self.root, after_revoked=after_revoked
        )

    def revoke(
        self,
        reference: str,
        reason: str,
        signer: Signer,
        *,
        samples: RevokedSamples | None = None,
        asked: Callable[[RevocationPlan], None] | None = None,
    ) -> Revoked:
        """Revokes a version, or `samples` of its dataset; raises as `flows.sign.revoke`.

        `asked` is told what is about to be revoked, and raises if it should not be. Where nothing
        says whom to trust, the signer itself is.
        """
        from provreg.flows.sign.revoke import plan_revocation, revoke

        trust = self.trust or self._own_trust(signer)
        aim = plan_revocation(self.workspace, Reference.parse(reference), samples, reason, trust)
        if asked is not None:
            asked(aim)
        return revoke(self.workspace, aim, signer, trust)

    def export_oms(self, version: VerifiedVersion, signer: Signer) -> bytes:
        """An OpenSSF Model Signing bundle of a version; raises as `flows.sign.oms.oms`."""
        from provreg.flows.sign.oms import oms

        return oms(version, signer)

    def refetch(
        self,
        version: VerifiedVersion,
        *,
        sample: int | None = None,
        bounds: Bounds | None = None,
        progress: Progress | None = None,
    ) -> Refetched:
        """Downloads the samples of a version again, `sample` of them by chance; what differs."""
        from provreg.flows.history.refetch import refetch
        from provreg.readers.web.bounds import Bounds

        return refetch(version, sample=sample, bounds=bounds or Bounds(), progress=progress)

    def revoked_samples(self, version: VerifiedVersion) -> npt.NDArray[np.bool_]:
        """Which samples of a verified version are revoked, in the order of its entries."""
        return version.revoked_samples()

    def signatures(self, version: Ancestor) -> tuple[tuple[Signature, ...], tuple[Skipped, ...]]:
        """Who signed it, whether or not that counts, and the bundles that do not verify."""
        from provreg.flows.verify.signatures import all_signatures

        if self.trust is None:
            return (), ()
        return all_signatures(self.workspace, version.head, version.digest, self.trust)

    def pin(self, version: VerifiedVersion, lock: Path) -> Pin:
        """Writes a verified version into the lock file `lock`; raises as `store.private.pins`."""
        from provreg.flows.verify.history import pin

        return pin(lock, version.head, version.digest, version.chain.newest)

    def runs(self, choose: Choose | None = None) -> tuple[list[Exposure], list[UnresolvedReceipt]]:
        """The training runs that were handed any of the samples that `choose` picks, or all runs.

        The latest is last. `Selection(...).mask` is such a choice. Second, the receipts of which it
        cannot be told. The index is brought up to date first.
        """
        from provreg.flows.receipts.exposure import all_runs, exposures

        with self._asking(None) as workspace:
            if choose is None:
                return all_runs(workspace, self.trust), []
            return exposures(workspace, self.trust, choose)

    def runs_of_sample(
        self, reference: str, sample: str
    ) -> tuple[list[Exposure], list[UnresolvedReceipt]]:
        """As `runs`, of those that were handed `sample` of a version, or its bytes under any id.

        Raises NotFoundError where the version has no such sample.
        """
        from provreg.flows.receipts.exposure import same_sample

        entries = self.blame(reference, (sample,)).entries
        return self.runs(same_sample(sample, entries.column("content")[0].as_py()))

    def samples_of_run(self, run: TrainingRun) -> Iterator[tuple[TrainingInput, pa.ChunkedArray]]:
        """(version, ids of its samples that the run was handed), a version after the other."""
        from provreg.flows.receipts.exposure import handed

        return handed(self.workspace, run.receipt)

    def runs_of_model(self, path: Path, *, progress: Progress | None = None) -> list[ModelMatch]:
        """The runs that made the model at `path`, a file or folder; first those that fit best."""
        from provreg.flows.receipts.models import runs_of_model
        from provreg.readers.files.model import hash_model

        files = hash_model(path, progress=progress)
        with self._asking(None) as workspace:
            return runs_of_model(workspace, files, self.trust, whole=path.is_dir())

    def verify_model(self, path: Path, *, progress: Progress | None = None) -> ModelMatch:
        """The run that left just these files, by a trusted receipt; raises as `receipts.models`."""
        from provreg.flows.receipts.models import verify_model
        from provreg.readers.files.model import hash_model

        trust = self.require_trust()
        files = hash_model(path, progress=progress)
        with self._asking(None) as workspace:
            return verify_model(workspace, str(path), files, trust, whole=path.is_dir())

    def sign_receipt(
        self,
        path: Path,
        signer: Signer,
        *,
        model: Path | None = None,
        asked: Callable[[str, Receipt], None] | None = None,
        progress: Progress | None = None,
    ) -> TrainingRun:
        """Signs and stores the receipt that was kept at `path`, and removes the file.

        `model` is what came of the run, where that could not be read when it ended. `asked` is told
        the digest and what is about to be signed, and raises if it should not be.
        """
        from provreg.flows.receipts.publish import sign_kept

        return sign_kept(
            self.workspace, self.trust, path, signer, model=model, asked=asked, progress=progress
        )

    @staticmethod
    def unsigned_receipts() -> list[Path]:
        """The receipts of this user that wait to be signed."""
        from provreg.store.private.pending_receipts import kept

        return kept()

    def latest(self, dataset: str) -> Freshness:
        """The *latest* statements of `dataset` that count."""
        from provreg.flows.sign.latest import latest_of

        return latest_of(self.workspace, dataset, self.require_trust())[1]

    @staticmethod
    def memory_at(folder: Path | None, dataset: str | None = None) -> PlaceMemory:
        """What this user has seen in the registry in `folder`, which may be gone.

        By default it is the nearest upward. Raises NotFoundError where there is none.
        """
        from provreg.flows.session.workspace import memory_at

        return memory_at(folder, dataset)

    @staticmethod
    def forget_memory(memory: PlaceMemory) -> None:
        """Forgets what `memory_at` gave."""
        from provreg.store.private.state import forget

        forget(memory)

    def forget(self, dataset: str | None = None) -> PlaceMemory:
        """Forgets what this user has seen of `dataset`, or of all datasets, in this registry.

        Returns what that was. What was seen elsewhere stays.
        """
        from provreg.store.private.state import forget, memory_of

        memory = memory_of(self.workspace.places, dataset)
        forget(memory)
        return memory

    def sign_latest(self, dataset: str, signer: Signer, *, valid: timedelta) -> SignedLatest:
        """Attests for a time which version is the newest; raises as `sign.latest.sign_latest`."""
        from provreg.flows.sign.latest import sign_latest

        trust = self.trust or self._own_trust(signer)
        return sign_latest(self.workspace, dataset, signer, trust, valid=valid)

    def diff(self, old: str, new: str, *, progress: Progress | None = None) -> Diff:
        """The changes from `old` to `new`, attributed; untrusted versions are compared as well."""
        from provreg.flows.history.diff import compared

        before, after = self.resolve(old), self.resolve(new)
        return compared(self.workspace, before, after, self.trust, lambda: self._asking(progress))

    def diff_each(self, old: str, new: str) -> Iterator[Diff]:
        """The changes of every version after `old` up to `new`, version by version."""
        from provreg.flows.history.diff import each_compared

        before, after = self.resolve(old), self.resolve(new)
        return each_compared(self.workspace, before, after, self.trust)

    def blame(
        self, reference: str, ids: Sequence[str] = (), *, progress: Progress | None = None
    ) -> Blamed:
        """Since when, from whom and by whose hand, for `ids` of a version or all its samples."""
        from provreg.flows.history.blame import blame

        version = self.resolve(reference)
        return blame(self.workspace, version, self.trust, ids, lambda: self._asking(progress))

    def sync(self, *, progress: Progress | None = None) -> list[Damaged]:
        """Brings the index up to date, as every question to it does first; returns `damaged`."""
        with self._asking(progress):
            return self.damaged

    @contextmanager
    def _asking(self, progress: Progress | None) -> Iterator[Workspace]:
        """The workspace, with its index brought up to date and held open."""
        from provreg.flows.index.sync import sync

        with self.workspace.holding_index() as workspace:
            self.damaged[:] = sync(workspace, progress=progress)
            yield workspace

    def log(self, dataset: str, *, progress: Progress | None = None) -> list[Ancestor]:
        """All versions of `dataset` whose integrity holds, newest first, trusted or not."""
        with self._asking(progress) as workspace:
            versions = workspace.index.versions(dataset)
        return self._judged([one.head for one in reversed(versions)])

    def newest(self, *, progress: Progress | None = None) -> list[Ancestor]:
        """The newest version of every dataset in the index, by name; trusted or not."""
        with self._asking(progress) as workspace:
            # Versions come by dataset and number: the last of each dataset stays.
            newest = {one.dataset: one.head for one in workspace.index.versions()}
        return self._judged(newest.values())

    def sql(
        self, query: str, *, progress: Progress | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """(column names, rows) of one SELECT over `versions`, `entries` and `changes`.

        Raises UsageError for a wrong query or one that would write, read files or use the network.
        """
        from provreg.flows.index.query import query as ask

        with self._asking(progress) as workspace:
            return ask(workspace, query, self.trust)

    def check(self, *, index: bool = False, progress: Progress | None = None) -> Iterator[Problem]:
        """Everything in the registry, or in its index, that is not as it should be."""
        from provreg.flows.index.check import check_index, check_objects

        if not index:
            return check_objects(self.workspace, progress=progress)
        self.sync()
        return check_index(self.workspace, progress=progress)

    def diff_path(
        self,
        old: str,
        path: Path,
        *,
        labels: Path | None = None,
        source: str | None = None,
        labeler: str | None = None,
        append: bool = False,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Diff:
        """The changes that ingesting `path`, read the way `old` was, would make to it.

        The diff's `gate` says whether the policy would take the result.
        """
        from provreg.flows.ingest.ingest import diff_data
        from provreg.flows.ingest.request import Ingestion

        before = self.resolve(old)
        ingestion = Ingestion(before.head.dataset, (path,), source, labeler, labels=labels,
                              append=append, replace=replace)  # fmt: skip
        return diff_data(self.workspace, before, ingestion, self.trust, progress=progress)

    def resolve(self, reference: str) -> Ancestor:
        """The head that `reference` stands for, with what the policy says of its signatures.

        Raises NotTrustedError for the digest of another dataset's.
        """
        from provreg.flows.verify.manifest import locate
        from provreg.flows.verify.steps import check_named

        asked = Reference.parse(reference)
        number, digest = locate(self.workspace, asked)
        version = self._judged([digest])[0]
        # What stands in the place of a number is shown, and told: somebody put it there.
        if number is None:
            check_named(version.head, asked.dataset, None)
        return version

    def _judged(self, digests: Iterable[str]) -> list[Ancestor]:
        from provreg.flows.verify.lineage import judged
        from provreg.flows.verify.manifest import read_head

        heads = [(digest, read_head(self.workspace, digest)) for digest in digests]
        return judged(self.workspace, heads, self.trust)

    def require_trust(self) -> Trust:
        """The trust in force; NotTrustedError where nothing says whom to trust."""
        if self.trust is None:
            raise NotTrustedError(
                "nothing says whom to trust",
                step=6,
                hint="name a policy with --policy FILE or a public key with --key FILE.pub",
            )
        return self.trust

    def _own_trust(self, signer: Signer) -> Trust:
        from provreg.flows.session.trust import trust_signer

        return trust_signer(signer, self.root)
