"""Questions to a registry: its versions, what changed in them, and who did it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.core.encoding.listing import Listing
from provreg.core.encoding.names import Reference
from provreg.core.encoding.text import quoted
from provreg.errors import NotTrustedError, needs_extra

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from provreg.core.policy.policy import Signature
    from provreg.executors.api import Progress
    from provreg.flows.history.blame import Blamed
    from provreg.flows.history.details import VersionDetails
    from provreg.flows.history.diff import Diff
    from provreg.flows.history.log import LogEntry
    from provreg.flows.history.revocation_list import RevocationStatus
    from provreg.flows.index.check import Problem
    from provreg.flows.index.query import Answer
    from provreg.flows.index.sync import Damaged
    from provreg.flows.screen.screen import Screening
    from provreg.flows.session.trust import Trust
    from provreg.flows.session.workspace import Workspace
    from provreg.flows.verify.lineage import Ancestor
    from provreg.flows.verify.signatures import Skipped
    from provreg.screening.api import Grouping
    from provreg.trust.sigstore.root import TrustedRoot


@dataclass(frozen=True, slots=True)
class RegistryQueries:
    """The methods of `Registry` that only tell. Untrusted versions are included, and marked."""

    workspace: Workspace
    trust: Trust | None
    root: TrustedRoot | None = None
    warnings: list[str] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)

    def __repr__(self) -> str:
        trust = "no policy or key" if self.trust is None else self.trust.origin
        return f"Registry({quoted(self.workspace.location)}, {trust})"

    def ls(self, *, versions: bool = False, progress: Progress | None = None) -> Listing[Ancestor]:
        """The newest version of every dataset in the index, by name; trusted or not.

        With `versions`, all versions, by name and number.
        """
        with self._synced(progress) as workspace:
            found = workspace.index.versions()
        # Versions come by dataset and number: the last of each dataset stays.
        newest = {one.dataset: one.head for one in found}
        return Listing(self._judged([one.head for one in found] if versions else newest.values()))

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

    def show(self, reference: str) -> VersionDetails:
        """A version, trusted or not, with its parent, signatures and counts of labels."""
        from provreg.flows.history.details import VersionDetails
        from provreg.flows.history.label_counts import count_labels

        version = self.resolve(reference)
        signatures, skipped = self.signatures(version)
        labels = count_labels(self.workspace, version.head)
        return VersionDetails(version, self._parent(version), signatures, skipped, labels)

    def _parent(self, version: Ancestor) -> int | None:
        head = version.head
        if head.parent is None:
            return None
        try:
            return self.resolve(f"{head.dataset}@{head.parent}").head.version
        except NotTrustedError:
            return None

    def signatures(self, version: Ancestor) -> tuple[tuple[Signature, ...], tuple[Skipped, ...]]:
        """The signatures of `version`, counted or not, and the bundles that do not verify."""
        from provreg.flows.verify.signatures import all_signatures

        if self.trust is None:
            return (), ()
        return all_signatures(self.workspace, version.head, version.digest, self.trust)

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

    def revocations(self, dataset: str | None = None) -> Listing[RevocationStatus]:
        """The registry's revocations, the latest last, or those of `dataset`, in force or not.

        Numbers without a readable revocation are ignored, with a warning. Raises DamagedError for
        more than 100,000.
        """
        from provreg.flows.history.revocation_list import list_revocations

        return Listing(
            status
            for status in list_revocations(self.workspace, self.trust)
            if dataset in (None, status.revocation.dataset)
        )

    def screen(
        self,
        reference: str,
        against: str | None = None,
        *,
        by: Sequence[Grouping] = (),
        checks: Sequence[str] = (),
        split_at: datetime | None = None,
        gold: Path | str | None = None,
        pictures: Sequence[Path | str] | None = None,
        texts: Sequence[Path | str] | None = None,
        progress: Progress | None = None,
    ) -> Screening:
        """What the checks find in a version and its changes after `against`, or in its history.

        `by` are the groupings to count by, `checks` the names of those to run, all by default;
        `split_at` divides time into training and test; `gold` is a labels file of true labels.
        `pictures` are the data whose pictures are compared by perceptual hashes, `texts` those
        whose texts are compared by MinHash. Hashes are kept: an empty list is for the kept alone.
        Raises UsageError for unknown names, and where `against` is not an earlier version of the
        same line, InputError as labels files do, NotInstalledError without scipy.
        """
        from provreg.flows.screen.screen import read_gold, screen

        with needs_extra("screen"):
            from provreg.screening.catalog import checks as checks_named
        chosen = checks_named(checks)
        true_labels = None if gold is None else read_gold(Path(gold))
        version = self.resolve(reference)
        base = None if against is None else self.resolve(against)
        with self._synced(progress) as workspace:
            return screen(
                workspace,
                version,
                base,
                self.trust,
                chosen,
                by=by,
                split_at=split_at,
                gold=true_labels,
                pictures=None if pictures is None else [Path(path) for path in pictures],
                texts=None if texts is None else [Path(path) for path in texts],
                progress=progress,
            )

    def sql(self, query: str, *, progress: Progress | None = None) -> Answer:
        """(column names, rows) of one SELECT over the index (docs/reference/sql.md).

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

    def _chosen(self, reference: str) -> Reference:
        """The version that `reference` means; reports where an exact pin set an older one."""
        asked = Reference.parse(reference)
        named = self.workspace.chosen(asked)
        if named != asked:
            newest = max(self.workspace.versions.numbers(named.dataset), default=0)
            if newest > (named.version or 0):
                self.workspace.notice(f"{named} is pinned exactly; the newest version is @{newest}")
        return named

    def _judged(self, digests: Iterable[str]) -> list[Ancestor]:
        from provreg.flows.verify.lineage import judge_versions
        from provreg.flows.verify.manifest import read_head

        heads = [(digest, read_head(self.workspace, digest)) for digest in digests]
        return judge_versions(self.workspace, heads, self.trust)
