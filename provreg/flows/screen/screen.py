"""A version screened: the checks' questions asked of the index, their findings put in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import counted, printable, quoted
from provreg.core.manifest.entry import NO_ENTRIES, TIMESTAMP
from provreg.core.manifest.head import Head, PartRef
from provreg.core.manifest.leaf import LEAF_BYTES, leaves
from provreg.core.statements.acceptance import FoundSamples, samples_digest
from provreg.errors import InputError, NotFoundError, UsageError
from provreg.executors.api import Progress
from provreg.flows.screen.acceptances import Accepted, read_acceptances
from provreg.flows.screen.pictures import picture_hashes
from provreg.flows.screen.texts import text_signatures
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import Ancestor, lineage, place_of
from provreg.flows.verify.manifest import checked_part, load_entries
from provreg.readers.api import LabelsOptions
from provreg.readers.labels import read_labels
from provreg.screening.api import (
    Check,
    Finding,
    Grouping,
    Question,
    Samples,
    Severity,
)
from provreg.store.index.index import with_part
from provreg.store.private.content_hashes import PICTURES, TEXTS

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_GOLD = pa.schema([("id", _TEXT), ("label", _TEXT)])
_LINE = pa.schema(
    [("head", _TEXT), ("version", pa.int32()), ("created", TIMESTAMP), ("signed_at", TIMESTAMP),
     ("standing", _TEXT), ("signer", _TEXT), ("signers", _TEXTS), ("principals", _TEXTS),
     ("later", pa.bool_())]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Screening:
    """What the checks found in `version`, looking at its changes after the version `base`.

    `findings` has errors first, then warnings and notes; of one severity the least probable first.
    `accepted` are those that somebody accepted whom the policy lets do so; they are not in
    `findings`. `uncounted` says of findings, by their digests, why an acceptance does not count.
    `checks` are the names of the checks that ran.
    """

    version: Ancestor
    base: Ancestor
    by: tuple[Grouping, ...]
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    accepted: tuple[tuple[Finding, Accepted], ...] = ()
    uncounted: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        head = self.version.head
        counts = [counted(self.count(severity), severity) for severity in reversed(Severity)]
        accepted = f", {len(self.accepted):,} accepted" if self.accepted else ""
        return f"Screening({head.dataset}@{head.version}, {', '.join(counts)}{accepted})"

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def ids(self, least: Severity = Severity.WARNING) -> list[str]:
        """The ids in findings of at least this severity, each once: for `Selection(exclude=…)`."""
        found = (sample for finding in self.above(least) for sample in finding.ids)
        return sorted(set(found), key=str.encode)

    def weights(self, weight: float = 0.0, least: Severity = Severity.WARNING) -> dict[str, float]:
        """`weight` for each of `ids`: for `VerifiedSamples.weights`."""
        return dict.fromkeys(self.ids(least), weight)

    def finding(self, digest: str) -> Finding:
        """The finding whose digest begins so, with or without `sha256:`.

        Raises UsageError for fewer than eight digits, an accepted finding and where several
        digests begin so, NotFoundError.
        """
        digits = digest.removeprefix("sha256:")
        if not re.fullmatch("[0-9a-f]{8,64}", digits):
            raise UsageError(
                f"{quoted(digest)} does not name a finding",
                hint="write at least eight digits of what `provreg screen` shows after `finding:`",
            )
        of = f"{self.version.head.dataset}@{self.version.head.version}"
        begins = f"sha256:{digits}"
        for finding, accepted in self.accepted:
            if finding.digest is not None and finding.digest.startswith(begins):
                by = ", ".join(accepted.by)
                raise UsageError(
                    f"{finding.check} {digits} of {of} is accepted already, by {by}",
                    hint=f"the reason: {printable(accepted.acceptance.reason)}",
                )
        found = [
            finding
            for finding in self.findings
            if finding.digest is not None and finding.digest.startswith(begins)
        ]
        if not found:
            raise NotFoundError(
                f"{of} has no finding {digits}",
                hint="screen it with the same options; what changed since is another finding",
            )
        if len(found) > 1:
            raise UsageError(f"several findings begin with {digits}", hint="write more digits")
        return found[0]

    def above(self, least: Severity) -> list[Finding]:
        """The findings of at least this severity."""
        return [finding for finding in self.findings if finding.severity.rank >= least.rank]


def screen(
    workspace: Workspace,
    version: Ancestor,
    against: Ancestor | None,
    trust: Trust | None,
    checks: Sequence[Check],
    *,
    by: Sequence[Grouping] = (),
    split_at: datetime | None = None,
    gold: pa.Table | None = None,
    pictures: Sequence[Path] | None = None,
    texts: Sequence[Path] | None = None,
    progress: Progress | None = None,
) -> Screening:
    """Runs `checks` on `version` and its changes after `against`, None for all of its history.

    `gold` has the `id` and the true `label` of some samples, as far as they are known. `pictures`
    and `texts` are the data whose pictures or texts are compared, empty for those that were
    compared before, None for none.

    Whether a version is trusted is looked at, and not required. Raises UsageError where `against`
    is no earlier version of the same line, NotFoundError where a version between is not in the
    index.
    """
    line = lineage(workspace, version.digest, trust)
    place = 0 if against is None else place_of(line, against.digest)
    if place is None:
        raise UsageError(
            "the version after --against is not an earlier one of the same line",
            hint=f"`provreg log {version.head.dataset}` lists the versions",
        )
    base = line[place]
    indexed = {known.head for known in workspace.index.versions(version.head.dataset)}
    for ancestor in line[place:]:
        if ancestor.digest not in indexed:
            raise NotFoundError(
                f"{ancestor.head.dataset}@{ancestor.head.version} is not in the index",
                hint="proposals are not; `provreg check` says what else is missing",
            )
    head = version.head
    question = Question(
        head.dataset,
        head.version,
        base.head.version,
        tuple(by),
        split_at,
        since=against is not None,
        distinct={
            "labeler": head.labelers.distinct,
            "source": head.sources.distinct,
            "label": len(head.classes) or head.samples,
        },
    )
    hashes = PICTURES.empty_table()
    if pictures is not None:
        hashes = picture_hashes(
            workspace,
            load_entries(workspace, head),
            head.reading,
            pictures,
            progress=progress,
        )
    signatures = TEXTS.empty_table()
    if texts is not None:
        signatures = text_signatures(
            workspace,
            load_entries(workspace, head),
            head.reading,
            texts,
            progress=progress,
        )
    tables = {
        "part_entries": _entries(workspace, [version, base]),
        "pictures": hashes,
        "texts": signatures,
        "screened": pa.table({"head": [version.digest], "base": [base.digest]}),
        "line": pa.Table.from_pylist(
            [_of_line(ancestor, later=ancestor is not base) for ancestor in line[place:]],
            schema=_LINE,
        ),
        "gold": _GOLD.empty_table() if gold is None else gold.select(_GOLD.names),
    }
    found: list[Finding] = []
    with workspace.index.screening(tables) as ask:
        for number, check in enumerate(checks):
            if progress is not None:
                progress(number, len(checks))
            found += _findings(check, question, ask)
    acceptances = read_acceptances(workspace, line, trust)
    left: list[Finding] = []
    accepted: list[tuple[Finding, Accepted]] = []
    uncounted: dict[str, str] = {}
    for finding in _identified(workspace, head, _ordered(found)):
        digest = finding.digest or ""
        if digest in acceptances.counted:
            accepted.append((finding, acceptances.counted[digest]))
            continue
        left.append(finding)
        if digest in acceptances.passed_over:
            uncounted[digest] = acceptances.passed_over[digest]
    names = tuple(check.name for check in checks)
    return Screening(version, base, tuple(by), names, tuple(left), tuple(accepted), uncounted)


def read_gold(path: Path) -> pa.Table:
    """The ids and true labels in a labels file. Raises as `readers.labels.read_labels`, and
    InputError for one without labels."""
    labels = read_labels(path, LabelsOptions())
    if "label" not in labels.column_names or labels.column("label").null_count:
        raise InputError(
            f"{quoted(str(path))} has no label for some of its ids",
            hint="gold labels are rows of id and label",
        )
    return labels.select(_GOLD.names).cast(_GOLD)


def _findings(
    check: Check, question: Question, ask: Callable[[str], pa.Table]
) -> Iterator[Finding]:
    """The findings of one check, with the ids of those that are more than notes."""
    answers = {name: ask(sql) for name, sql in check.queries(question).items()}
    for finding in check.find(answers, question):
        known = finding.ids or finding.severity is Severity.NOTE
        yield finding if known else replace(finding, ids=_ids(finding.samples, ask))


def _ids(samples: Samples, ask: Callable[[str], pa.Table]) -> tuple[str, ...]:
    """The ids that `samples` have in the screened version, in order."""
    sql = (
        _followed(samples.where)
        if samples.view == "changes"
        else f"select id from entries where {samples.where} order by id"
    )
    return tuple(ask(sql).column("id").to_pylist())


def _followed(condition: str) -> str:
    """SQL for the present ids of samples in `changes`, through what later versions moved.

    A modified sample is followed to where its bytes went, and keeps its id where they went nowhere.
    """
    return f"""
        with recursive moves as materialized (
            select c.old_id, c.version, list(distinct coalesce(b.new_id, c.new_id)) as ids,
                   lag(c.version, 1, 0) over (partition by c.old_id order by c.version) as before
            from changes c left join changes b
            on c.modified and b.version = c.version and b.new_content = c.old_content
               and b.new_content is distinct from b.old_content
            where c.renamed or c.removed or b.new_id is not null
            group by c.version, c.old_id),
        found(version, id) as (
            select version, new_id from changes where new_id is not null and ({condition})
            union
            select m.version, unnest(m.ids) from found f
            join moves m on m.old_id = f.id and f.version >= m.before and f.version < m.version)
        select distinct id from found f
        where not exists (from moves m where m.old_id = f.id and m.version > f.version)
        and id in (select id from entries) order by id"""


def _identified(workspace: Workspace, head: Head, findings: list[Finding]) -> list[Finding]:
    """`findings` with what an acceptance would name: the leaves of their samples."""
    named = {sample for finding in findings for sample in finding.ids}
    leaf_of: dict[str, bytes] = {}
    if named:
        wanted = pa.array(named, pa.string())
        for part in head.parts:
            entries = checked_part(workspace, part)
            entries = entries.filter(pc.is_in(entries.column("id"), value_set=wanted))
            hashed = leaves(entries)
            starts = range(0, len(hashed), LEAF_BYTES)
            of_part = (hashed[start : start + LEAF_BYTES] for start in starts)
            leaf_of.update(zip(entries.column("id").to_pylist(), of_part, strict=True))
    return [replace(finding, found=_found(finding, leaf_of)) for finding in findings]


def _found(finding: Finding, leaf_of: Mapping[str, bytes]) -> FoundSamples | None:
    present = sorted(leaf_of.keys() & set(finding.ids), key=str.encode)
    if not present or finding.severity is Severity.NOTE:
        return None
    samples = samples_digest(leaf_of[sample] for sample in present)
    severity = finding.severity.value
    return FoundSamples(finding.check, severity, finding.group, finding.count, samples)


def _ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The most severe first, then the least probable; equal ones by check and group."""

    def place(finding: Finding) -> tuple[Any, ...]:
        p = 0.0 if finding.effect is None else finding.effect.p
        return -finding.severity.rank, p, finding.check, sorted(finding.group.items())

    return sorted(findings, key=place)


def _entries(workspace: Workspace, versions: Iterable[Ancestor]) -> pa.Table:
    """The entries of `versions`; a part that they share stands once."""
    parts: Mapping[str, PartRef] = {
        part.blocks: part for version in versions for part in version.head.parts
    }
    tables = [with_part(checked_part(workspace, part), name) for name, part in parts.items()]
    return pa.concat_tables([with_part(NO_ENTRIES, ""), *tables])


def _of_line(ancestor: Ancestor, *, later: bool) -> dict[str, Any]:
    signed = ancestor.signatures
    return {
        "head": ancestor.digest,
        "version": ancestor.head.version,
        "created": ancestor.head.created,
        "signed_at": ancestor.signed_at,
        "standing": ancestor.standing,
        "signer": ", ".join(ancestor.signed_by) or "nobody",
        "signers": [str(made.signer or made) for made in signed],
        "principals": [made.principal for made in signed if made.principal is not None],
        "later": later,
    }
