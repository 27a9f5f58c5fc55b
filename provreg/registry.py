"""The facade: a registry and the trust in force, for Python users and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from provreg.core.encoding.listing import Listing
from provreg.core.encoding.names import Reference
from provreg.errors import NotTrustedError
from provreg.queries import RegistryQueries

if TYPE_CHECKING:
    from datetime import timedelta

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from provreg.core.statements.receipt import Receipt, TrainingInput
    from provreg.executors.api import Progress
    from provreg.flows.history.diff import Diff
    from provreg.flows.history.refetch import Refetched
    from provreg.flows.ingest.publish import Outcome
    from provreg.flows.ingest.request import Ingestion
    from provreg.flows.receipts.exposure import Choose, Exposure, UnresolvedReceipt
    from provreg.flows.receipts.models import ModelMatch
    from provreg.flows.receipts.runs import TrainingRun
    from provreg.flows.screen.screen import Screening
    from provreg.flows.session.trust import Trust
    from provreg.flows.sign.accept import SignedAcceptance
    from provreg.flows.sign.countersign import Countersigned, Review
    from provreg.flows.sign.latest import SignedLatest
    from provreg.flows.sign.proposals import Proposal
    from provreg.flows.sign.revoke import RevocationPlan, Revoked
    from provreg.flows.sign.scope import Scope
    from provreg.flows.sign.succession import SigningPlan
    from provreg.flows.verify.freshness import Freshness
    from provreg.flows.verify.lineage import Ancestor
    from provreg.flows.verify.signatures import PendingProposal
    from provreg.flows.verify.steps import Step, VerifiedVersion
    from provreg.readers.api import LabelsOptions, ReadOptions
    from provreg.readers.web.bounds import Bounds
    from provreg.screening.api import Finding
    from provreg.store.private.state import Pin, PlaceMemory
    from provreg.trust.keys import PublicKey
    from provreg.trust.signers import Signer

Place: TypeAlias = Path | str


@dataclass(frozen=True, slots=True, repr=False)
class Registry(RegistryQueries):
    """A registry and the trust in force.

    Returned by `Registry.open`. `warnings` collects files of the registry that were ignored because
    they do not match their names. `damaged` lists the version numbers whose integrity did not hold
    when the index was last synchronized.
    """

    @classmethod
    def init(cls, folder: Place) -> Path:
        """Creates an empty registry in `folder`, unless it is a registry already.

        Returns the folder. Raises UsageError for a folder with other contents, StorageError.
        """
        from provreg.store.registry.folder import init

        path = Path(folder)
        init(path)
        return path

    @classmethod
    def open(
        cls,
        folder: Place | None = None,
        *,
        policy: Place | None = None,
        key: Place | bytes | None = None,
        identity: str | None = None,
        issuer: str | None = None,
        trusted_root: Place | None = None,
        staging: bool = False,
        lock: Place | None = None,
        outside: Sequence[Place] = (),
        also: Sequence[Place] = (),
        notice: Callable[[str], None] | None = None,
    ) -> Registry:
        """The registry in `folder`, by default PROVREG_REGISTRY or the nearest `.provreg` upward.

        Trust comes from `key` (a public key: a file, or PEM), from `identity` and `issuer`, from
        `policy`, or from a policy that is found as in docs/reference/policy.md; data folders in
        `outside` are never searched for one. Keyless signatures are verified against
        `trusted_root`, by default PROVREG_TRUSTED_ROOT or the one in sigstore-python
        (docs/guides/keyless.md). `lock` is a file of pins, by default the nearest `provreg.lock`
        upward. `also` are further registries, in which versions that receipts name are looked up.
        `notice` is called with a text before a long wait. Raises NotFoundError without a
        registry, NotTrustedError (step 6) for a policy that somebody else may have planted.
        """
        from provreg.executors.api import no_report
        from provreg.flows.session.workspace import Where, Whom, open_as_asked

        where = Where(_path(folder), _path(lock), tuple(map(Path, outside)), tuple(map(Path, also)))
        whom = Whom(_path(policy), _key(key), identity, issuer, _path(trusted_root), staging)
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

    def plan_signing(
        self,
        dataset: str,
        signer: Signer,
        *,
        signed_by: PublicKey | None = None,
        progress: Progress | None = None,
    ) -> SigningPlan:
        """The trusted versions of `dataset` that `signer` has not signed; for `sign_versions`.

        With `signed_by` only those that this key has signed. Raises as
        `flows.sign.succession.plan_signing`.
        """
        from provreg.flows.sign.succession import plan_signing

        return plan_signing(
            self.workspace, dataset, signer, self.require_trust(), self.root,
            signed_by=signed_by, progress=progress,
        )  # fmt: skip

    def sign_versions(
        self, plan: SigningPlan, signer: Signer, *, progress: Progress | None = None
    ) -> list[Ancestor]:
        """Signs the versions of a plan, oldest first; a new plan continues an interrupted one."""
        from provreg.flows.sign.succession import sign_versions

        trust = self.require_trust()
        return sign_versions(self.workspace, plan, signer, trust, self.root, progress=progress)

    def revoke(
        self,
        reference: str,
        reason: str,
        signer: Signer,
        *,
        samples: Scope | None = None,
        confirm: Callable[[RevocationPlan], None] | None = None,
    ) -> Revoked:
        """Revokes a version, or `samples` of its dataset; raises as `flows.sign.revoke`.

        `confirm` is called with the plan before anything is signed, and raises to cancel. Without a
        policy or key the signer itself is trusted.
        """
        from provreg.flows.sign.revoke import revoke

        trust = self.trust or self._own_trust(signer)
        plan = self.plan_revocation(reference, reason, samples=samples, trust=trust)
        if confirm is not None:
            confirm(plan)
        return revoke(self.workspace, plan, signer, trust)

    def withdraw(
        self,
        number: int,
        reason: str,
        signer: Signer,
        *,
        confirm: Callable[[RevocationPlan], None] | None = None,
    ) -> Revoked:
        """Withdraws revocation `number`; raises as `flows.sign.revoke`, `confirm` as in `revoke`.

        Only those who may revoke can withdraw. Nothing else ends a revocation.
        """
        from provreg.flows.sign.revoke import plan_withdrawal, revoke

        trust = self.trust or self._own_trust(signer)
        plan = plan_withdrawal(self.workspace, number, reason, trust)
        if confirm is not None:
            confirm(plan)
        return revoke(self.workspace, plan, signer, trust)

    def plan_revocation(
        self,
        reference: str,
        reason: str,
        *,
        samples: Scope | None = None,
        trust: Trust | None = None,
    ) -> RevocationPlan:
        """What `revoke` would revoke: nothing is signed. `trust` is by default that in force."""
        from provreg.flows.sign.revoke import plan_revocation

        in_force = trust or self.require_trust()
        parsed = Reference.parse(reference)
        if samples is None or samples.is_named:
            return plan_revocation(self.workspace, parsed, samples, reason, in_force)
        with self._synced(None) as workspace:
            return plan_revocation(workspace, parsed, samples, reason, in_force)

    def accept(
        self, screening: Screening, finding: Finding | str, reason: str, signer: Signer
    ) -> SignedAcceptance:
        """Signs that a finding of `screening` was looked at, and is in order.

        A finding is also named by the first eight or more digits of its `digest`; raises as
        `Screening.finding` and `flows.sign.accept`. Without a policy or key the signer itself is
        trusted.
        """
        from provreg.flows.sign.accept import accept

        chosen = screening.finding(finding) if isinstance(finding, str) else finding
        trust = self.trust or self._own_trust(signer)
        return accept(self.workspace, screening, chosen, reason, signer, trust)

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

    def pin(
        self,
        version: VerifiedVersion | str,
        lock: Place = "provreg.lock",
        *,
        exact: bool | None = None,
    ) -> Pin:
        """Writes a verified version into the lock file `lock`; raises as `store.private.pins`.

        A reference is verified first, and raises as `verify`; the name of a dataset alone is its
        newest version. With `exact` the name alone means the pinned version until the pin moves;
        without, this version and newer ones. By default it is as in the pin that is replaced.
        """
        from provreg.flows.verify.history import pin, seen_before_an_end

        if isinstance(version, str):
            # The name alone means the newest here, also where an exact pin has chosen another.
            version = self.verify(version if "@" in version else f"{version}@latest")
        head, digest, trust = version.head, version.digest, self.require_trust()
        seen = seen_before_an_end(self.workspace, head, digest, version.verdict, trust)
        return pin(Path(lock), head, digest, version.chain.newest, exact=exact, seen=seen)

    def runs(
        self, choose: Choose | None = None, *, uid: str | None = None
    ) -> tuple[Listing[Exposure], list[UnresolvedReceipt]]:
        """(runs that received any of the samples of `choose`, or all runs; unresolved receipts).

        The latest run is last. `choose` is, for example, `Selection(...).mask`; with `uid` only
        samples of that dataset count. An unresolved receipt does not tell which samples of a
        version its run received. The index is synchronized first.
        """
        from provreg.flows.receipts.exposure import all_runs, exposures

        with self._synced(None) as workspace:
            if choose is None:
                return Listing(all_runs(workspace, self.trust)), []
            found, unresolved = exposures(workspace, self.trust, choose, uid)
            return Listing(found), unresolved

    def runs_of_sample(
        self, reference: str, sample: str
    ) -> tuple[Listing[Exposure], list[UnresolvedReceipt]]:
        """As `runs`, for the runs that received the content of `sample` of a version, under any id
        that it has in versions of this dataset.

        Raises NotFoundError if the version has no such sample.
        """
        from provreg.flows.receipts.exposure import same_content

        uid = self.resolve(reference).head.uid
        content = self.blame(reference, (sample,)).entries.column("content")[0].as_py()
        return self.runs(same_content(content), uid=uid)

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

    def require_trust(self) -> Trust:
        """The trust in force; raises NotTrustedError without a policy or key."""
        if self.trust is None:
            hint = "pass a policy (--policy FILE) or a public key (--key FILE.pub)"
            raise NotTrustedError("no policy or key was given", step=6, hint=hint)
        return self.trust

    def _own_trust(self, signer: Signer) -> Trust:
        from provreg.flows.session.trust import trust_signer

        return trust_signer(signer, self.root)


def _key(key: Place | bytes | None) -> Path | bytes | None:
    """A public key: PEM, also as a text, or the path of its file."""
    if isinstance(key, str) and key.lstrip().startswith("-----BEGIN "):
        return key.encode()
    return key if isinstance(key, bytes) else _path(key)


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)
