"""The facade: a registry and the trust in force, for Python users and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.listing import Listing
from provreg.core.encoding.names import Reference
from provreg.core.encoding.text import quoted
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
    from provreg.flows.history.label_counts import LabelCounts
    from provreg.flows.history.log import LogEntry
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
    from provreg.flows.verify.signatures import PendingProposal, Skipped
    from provreg.flows.verify.steps import Step, VerifiedVersion
    from provreg.readers.api import LabelsOptions, ReadOptions
    from provreg.readers.web.bounds import Bounds
    from provreg.store.private.state import Pin, PlaceMemory
    from provreg.trust.signers import Signer
    from provreg.trust.sigstore.root import TrustedRoot


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry and the trust in force.

    Returned by `Registry.open`. `warnings` collects files of the registry that were ignored because
    they do not match their names. `damaged` lists the version numbers whose integrity did not hold
    when the index was last synchronized.
    """

    workspace: Workspace
    trust: Trust | None
    root: TrustedRoot | None = None
    warnings: list[str] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)

    def __repr__(self) -> str:
        trust = "no policy or key" if self.trust is None else self.trust.origin
        return f"Registry({quoted(self.workspace.location)}, {trust})"

    @classmethod
    def init(cls, folder: Path) -> Path:
        """Creates an empty registry in `folder`, unless it is a registry already.

        Returns the folder. Raises UsageError for a folder with other contents, StorageError.
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

        Trust comes from `key` (a public key file), from `identity` and `issuer`, from `policy`, or
        from a policy that is found as in docs/reference/policy.md; data folders in `outside` are
        never searched for one. Keyless signatures are verified against `trusted_root`, by default
        PROVREG_TRUSTED_ROOT or the one in sigstore-python (docs/guides/keyless.md). `lock` is a
        file of pins, by default the nearest `provreg.lock` upward. `notice` is called with a text
        before a long wait. Raises NotFoundError without a registry, NotTrustedError (step 6) for a
        policy that somebody else may have planted.
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

        A version that the policy would not trust is refused, or proposed if `ingestion.propose`.
        Without a policy or key the signer itself is trusted, so your own versions can be continued.
        Raises as `flows.ingest.ingest.ingest`.
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
        """Steps 1 to 11 for `reference`, and step 12 if `data` is given.

        Raises NotTrustedError with the step that refused; for step 12 with a finding for every
        sample that is not as signed. A proposal, named by its digest, goes through the steps that
        it can pass and is then refused.
        """
        from provreg.executors.api import no_report
        from provreg.flows.verify.steps import verify

        listener = on_step or no_report
        named, trust = self._chosen(reference), self.require_trust()
        if named.head is not None:
            from provreg.flows.sign.proposals import refuse_proposal

            refuse_proposal(self.workspace, named, trust, data, on_step=listener, progress=progress)
        version = verify(self.workspace, named, trust, on_step=listener)
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

    def _chosen(self, reference: str) -> Reference:
        """The version that `reference` means; reports where an exact pin set an older one."""
        asked = Reference.parse(reference)
        named = self.workspace.chosen(asked)
        if named != asked:
            newest = max(self.workspace.versions.numbers(named.dataset), default=0)
            if newest > (named.version or 0):
                self.workspace.notice(f"{named} is pinned exactly; the newest version is @{newest}")
        return named

    def proposals(self) -> list[Proposal]:
        """The proposals that are not versions, with what each lacks."""
        from provreg.flows.sign.proposals import proposals

        return proposals(self.workspace, self.require_trust())

    def waiting(self, dataset: str) -> list[PendingProposal]:
        """The proposals above the newest number with a signature of a principal of the policy."""
        from provreg.flows.verify.signatures import signed_proposals

        if self.trust is None:
            return []
        newest = max(self.workspace.versions.numbers(dataset), default=0)
        return signed_proposals(self.workspace, dataset, self.trust, above=newest)

    def only_proposed(self) -> list[str]:
        """The datasets that have proposals but no version yet."""
        versions = self.workspace.versions
        return sorted(set(versions.proposed()) - set(versions.datasets()))

    def tidy_proposals(self) -> list[str]:
        """Deletes the proposals whose number is in use, which nobody can complete any more.

        Returns them as `NAME@sha256:…`. Raises StorageError without permission.
        """
        versions = self.workspace.versions
        return [f"{name}@{head}" for name in versions.proposed() for _, head in versions.tidy(name)]

    def review(self, reference: str, *, after_revoked: bool = False) -> Review:
        """What a countersigner of `reference` should see: `flows.sign.countersign.review`."""
        from provreg.flows.sign.countersign import review

        named = Reference.parse(reference)
        return review(self.workspace, named, self.trust, after_revoked=after_revoked)

    def countersign(
        self, reviewed: Review, signer: Signer, *, after_revoked: bool = False
    ) -> Countersigned:
        """Adds the signature of `signer`; publishes a proposal that is then complete."""
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
        confirm: Callable[[RevocationPlan], None] | None = None,
    ) -> Revoked:
        """Revokes a version, or `samples` of its dataset; raises as `flows.sign.revoke`.

        `confirm` is called with the plan before anything is signed, and raises to cancel. Without a
        policy or key the signer itself is trusted.
        """
        from provreg.flows.sign.revoke import plan_revocation, revoke

        trust = self.trust or self._own_trust(signer)
        plan = plan_revocation(self.workspace, Reference.parse(reference), samples, reason, trust)
        if confirm is not None:
            confirm(plan)
        return revoke(self.workspace, plan, signer, trust)

    def export_oms(self, version: VerifiedVersion, signer: Signer) -> bytes:
        """An OpenSSF Model Signing bundle for a version; raises as `flows.sign.oms.oms`."""
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
        """Downloads the samples of a version, or `sample` random ones, and compares them."""
        from provreg.flows.history.refetch import refetch
        from provreg.readers.web.bounds import Bounds

        return refetch(version, sample=sample, bounds=bounds or Bounds(), progress=progress)

    def revoked_samples(self, version: VerifiedVersion) -> npt.NDArray[np.bool_]:
        """Which samples of a verified version are revoked, in the order of its entries."""
        return version.revoked_samples()

    def signatures(self, version: Ancestor) -> tuple[tuple[Signature, ...], tuple[Skipped, ...]]:
        """The signatures of `version`, counted or not, and the bundles that do not verify."""
        from provreg.flows.verify.signatures import all_signatures

        if self.trust is None:
            return (), ()
        return all_signatures(self.workspace, version.head, version.digest, self.trust)

    def pin(self, version: VerifiedVersion, lock: Path, *, exact: bool | None = None) -> Pin:
        """Writes a verified version into the lock file `lock`; raises as `store.private.pins`.

        With `exact` the name of the dataset alone means this version until the pin moves; without,
        this version and newer ones. By default it is as in the pin that is replaced.
        """
        from provreg.flows.verify.history import pin, seen_before_an_end

        head, digest, trust = version.head, version.digest, self.require_trust()
        seen = seen_before_an_end(self.workspace, head, digest, version.verdict, trust)
        return pin(lock, head, digest, version.chain.newest, exact=exact, seen=seen)

    def runs(
        self, choose: Choose | None = None
    ) -> tuple[Listing[Exposure], list[UnresolvedReceipt]]:
        """(runs that received any of the samples of `choose`, or all runs; unresolved receipts).

        The latest run is last. `choose` is, for example, `Selection(...).mask`. An unresolved
        receipt does not tell which samples its run received. The index is synchronized first.
        """
        from provreg.flows.receipts.exposure import all_runs, exposures

        with self._synced(None) as workspace:
            if choose is None:
                return Listing(all_runs(workspace, self.trust)), []
            found, unresolved = exposures(workspace, self.trust, choose)
            return Listing(found), unresolved

    def runs_of_sample(
        self, reference: str, sample: str
    ) -> tuple[Listing[Exposure], list[UnresolvedReceipt]]:
        """As `runs`, for the runs that received `sample` of a version, or its content under any id.

        Raises NotFoundError if the version has no such sample.
        """
        from provreg.flows.receipts.exposure import same_sample

        entries = self.blame(reference, (sample,)).entries
        return self.runs(same_sample(sample, entries.column("content")[0].as_py()))

    def samples_of_run(self, run: TrainingRun) -> Iterator[tuple[TrainingInput, pa.ChunkedArray]]:
        """(version, ids of its samples that the run received), version by version."""
        from provreg.flows.receipts.exposure import handed

        return handed(self.workspace, run.receipt)

    def runs_of_model(self, path: Path, *, progress: Progress | None = None) -> list[ModelMatch]:
        """The runs that made the model at `path`, a file or a folder; the best match first."""
        from provreg.flows.receipts.models import runs_of_model
        from provreg.readers.files.model import hash_model

        files = hash_model(path, progress=progress)
        with self._synced(None) as workspace:
            return runs_of_model(workspace, files, self.trust, whole=path.is_dir())

    def verify_model(self, path: Path, *, progress: Progress | None = None) -> ModelMatch:
        """The run that made exactly these files, by a trusted receipt.

        Raises as `flows.receipts.models.verify_model`.
        """
        from provreg.flows.receipts.models import verify_model
        from provreg.readers.files.model import hash_model

        trust = self.require_trust()
        files = hash_model(path, progress=progress)
        with self._synced(None) as workspace:
            return verify_model(workspace, str(path), files, trust, whole=path.is_dir())

    def sign_receipt(
        self,
        path: Path,
        signer: Signer,
        *,
        model: Path | None = None,
        confirm: Callable[[str, Receipt], None] | None = None,
        progress: Progress | None = None,
    ) -> TrainingRun:
        """Signs and stores the pending receipt at `path`, and removes the file.

        `model` is the run's model, if it could not be read when the run ended. `confirm` is called
        with the digest and the receipt before anything is signed, and raises to cancel.
        """
        from provreg.flows.receipts.publish import sign_pending

        return sign_pending(
            self.workspace, self.trust, path, signer, model=model, asked=confirm, progress=progress
        )

    def unsigned_receipts(self) -> list[Path]:
        """This user's receipts that wait for a signature and name a version of this registry."""
        from provreg.flows.receipts.publish import pending_receipts

        return pending_receipts(self.workspace)

    def latest(self, dataset: str) -> Freshness:
        """The *latest* statements of `dataset` that count."""
        from provreg.flows.sign.latest import latest_of

        return latest_of(self.workspace, dataset, self.require_trust())[1]

    @staticmethod
    def memory_at(folder: Path | None, dataset: str | None = None) -> PlaceMemory:
        """What this user has seen in the registry in `folder`, which may be gone.

        By default it is the nearest `.provreg` upward. Raises NotFoundError without one.
        """
        from provreg.flows.session.workspace import memory_at

        return memory_at(folder, dataset)

    @staticmethod
    def forget_memory(memory: PlaceMemory) -> None:
        """Deletes what `memory_at` returned."""
        from provreg.store.private.state import forget

        forget(memory)

    def forget(self, dataset: str | None = None) -> PlaceMemory:
        """Deletes the record of what this user has seen of `dataset`, or of all, in this registry.

        Returns the record. Records of other registries stay.
        """
        from provreg.store.private.state import forget, memory_of

        memory = memory_of(self.workspace.places, dataset)
        forget(memory)
        return memory

    def sign_latest(self, dataset: str, signer: Signer, *, valid: timedelta) -> SignedLatest:
        """Attests for the time `valid` which version is the newest.

        Raises as `flows.sign.latest.sign_latest`.
        """
        from provreg.flows.sign.latest import sign_latest

        trust = self.trust or self._own_trust(signer)
        return sign_latest(self.workspace, dataset, signer, trust, valid=valid)

    def diff(self, old: str, new: str, *, progress: Progress | None = None) -> Diff:
        """The changes from `old` to `new`, attributed; untrusted versions are compared as well."""
        from provreg.flows.history.diff import diff_versions

        before, after = self.resolve(old), self.resolve(new)
        return diff_versions(
            self.workspace, before, after, self.trust, lambda: self._synced(progress)
        )

    def diff_each(self, old: str, new: str) -> Iterator[Diff]:
        """The changes of every version after `old` up to `new`, version by version."""
        from provreg.flows.history.diff import diff_each_version

        before, after = self.resolve(old), self.resolve(new)
        return diff_each_version(self.workspace, before, after, self.trust)

    def blame(
        self, reference: str, ids: Sequence[str] = (), *, progress: Progress | None = None
    ) -> Blamed:
        """Origin, labeler, signer and first version of `ids` of a version, or of all samples."""
        from provreg.flows.history.blame import blame

        version = self.resolve(reference)
        return blame(self.workspace, version, self.trust, ids, lambda: self._synced(progress))

    def sync(self, *, progress: Progress | None = None) -> list[Damaged]:
        """Synchronizes the index, as every query does first; returns `damaged`."""
        with self._synced(progress):
            return self.damaged

    @contextmanager
    def _synced(self, progress: Progress | None) -> Iterator[Workspace]:
        """The workspace, with its index synchronized and held open."""
        from provreg.flows.index.sync import sync

        with self.workspace.holding_index() as workspace:
            self.damaged[:] = sync(workspace, progress=progress)
            yield workspace

    def log(
        self, dataset: str, *, newest: int | None = None, progress: Progress | None = None
    ) -> Listing[Ancestor]:
        """The versions of `dataset` whose integrity holds, newest first, trusted or not.

        `newest` is how many are returned, None for all.
        """
        with self._synced(progress) as workspace:
            versions = workspace.index.versions(dataset)
        return Listing(self._judged([one.head for one in versions[::-1][:newest]]))

    def log_entries(self, versions: Sequence[Ancestor]) -> list[LogEntry]:
        """`versions`, as `log` returns them, with the sources and labelers of their changes."""
        from provreg.flows.history.log import log_entries

        with self.workspace.holding_index() as workspace:
            return log_entries(workspace, versions)

    def ids(self, reference: str, *, where: str | None = None) -> pa.ChunkedArray:
        """The ids of a version, trusted or not, in order; raises as `flows.history.ids.list_ids`.

        With `where`, an SQL condition, only those of samples that meet it (docs/reference/sql.md).
        """
        from provreg.flows.history.ids import list_ids

        return list_ids(self.workspace, self.resolve(reference).head, where)

    def label_counts(self, version: Ancestor) -> LabelCounts | None:
        """Samples of `version` without a label, and its annotators; None if it is damaged."""
        from provreg.flows.history.label_counts import count_labels

        return count_labels(self.workspace, version.head)

    def ls(self, *, versions: bool = False, progress: Progress | None = None) -> Listing[Ancestor]:
        """The newest version of every dataset in the index, by name; trusted or not.

        With `versions`, all versions, by name and number.
        """
        with self._synced(progress) as workspace:
            found = workspace.index.versions()
        # Versions come by dataset and number: the last of each dataset stays.
        newest = {one.dataset: one.head for one in found}
        return Listing(self._judged([one.head for one in found] if versions else newest.values()))

    def sql(
        self, query: str, *, progress: Progress | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """(column names, rows) of one SELECT over `versions`, `entries` and `changes`.

        Raises UsageError for a wrong query or one that would write, read files or use the network.
        """
        from provreg.flows.index.query import query as ask

        with self._synced(progress) as workspace:
            return ask(workspace, query, self.trust)

    def check(self, *, index: bool = False, progress: Progress | None = None) -> Iterator[Problem]:
        """The problems of the registry, or with `index` those of its index."""
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
        labels_options: LabelsOptions | None = None,
        source: str | None = None,
        labeler: str | None = None,
        append: bool = False,
        replace: bool = False,
        options: ReadOptions | None = None,
        check_media: bool = False,
        progress: Progress | None = None,
    ) -> Diff:
        """The changes that ingesting `path`, read as `old` but for `options`, would make to it."""
        from provreg.flows.ingest.ingest import diff_data
        from provreg.flows.ingest.request import Ingestion
        from provreg.readers.api import LabelsOptions, ReadOptions

        before = self.resolve(old)
        ingestion = Ingestion(
            before.head.dataset, (path,), source, labeler, options or ReadOptions(), labels,
            labels_options or LabelsOptions(), append, replace, check_media=check_media,
        )  # fmt: skip
        return diff_data(self.workspace, before, ingestion, self.trust, progress=progress)

    def resolve(self, reference: str) -> Ancestor:
        """The head that `reference` names, with the policy's verdict on its signatures.

        Raises NotTrustedError for the digest of another dataset's head.
        """
        from provreg.flows.verify.manifest import locate
        from provreg.flows.verify.steps import check_named

        named = self._chosen(reference)
        number, digest = locate(self.workspace, named)
        version = self._judged([digest])[0]
        # A foreign head under a number is shown, and reported: somebody put it there.
        if number is None:
            check_named(version.head, named.dataset, None)
        return version

    def _judged(self, digests: Iterable[str]) -> list[Ancestor]:
        from provreg.flows.verify.lineage import judge_versions
        from provreg.flows.verify.manifest import read_head

        heads = [(digest, read_head(self.workspace, digest)) for digest in digests]
        return judge_versions(self.workspace, heads, self.trust)

    def require_trust(self) -> Trust:
        """The trust in force; raises NotTrustedError without a policy or key."""
        if self.trust is None:
            hint = "pass a policy (--policy FILE) or a public key (--key FILE.pub)"
            raise NotTrustedError("no policy or key was given", step=6, hint=hint)
        return self.trust

    def _own_trust(self, signer: Signer) -> Trust:
        from provreg.flows.session.trust import trust_signer

        return trust_signer(signer, self.root)
