"""Matching the samples of a stream with the signed entries, in one pass over the data.

Data that can only be streamed (tables, tar shards) are hashed batch by batch. Each sample takes its
signed entry, each entry is taken once, and entries that are left at the end are missing. So
strangers and changed samples are refused before they are delivered, missing ones at the end. Memory
is 1 byte an entry, 17 if samples are not in the manifest's order, and more only for duplicate
contents.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.digest import written_digest
from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import format_utc_times, split_long_labels, unequal
from provreg.core.manifest.data_fields import FINDING_KINDS, DataFields
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import Finding, NotTrustedError, SampleError

Rows: TypeAlias = "npt.NDArray[np.int64]"
Mask: TypeAlias = "npt.NDArray[np.bool_]"

_MOST_FINDINGS = 1000
_WHY = {
    "label": "its label differs from the signed one",
    "split": "its split differs from the signed one",
    "source": "its source differs from the signed one",
    "labeler": "its labeler differs from the signed one",
    "labeled_at": "its labeling time differs from the signed one",
}


class Matched(NamedTuple):
    """`rows`: the manifest row of each sample, -1 for a sample that is not as signed.

    `signed`: the entries of the others, in the order of the samples.
    """

    rows: Rows
    signed: pa.Table


class Matching:
    """One pass over the data of `reference`, whose `entries` (schema ENTRY) are in order.

    `ids_read`: the data have ids. Without ids a sample is found by its content; among entries of
    one content it takes any with the same label and split, because the payloads are the same.
    `told`: the columns beside the payload that the data contain and that must be as signed.
    """

    def __init__(
        self, reference: str, entries: pa.Table, *, ids_read: bool, told: DataFields
    ) -> None:
        self._reference = reference
        self._entries = entries
        self._ids_read = ids_read
        self._compared = (("id",) if ids_read else ()) + ("content",)
        self._told = told
        self._taken = np.zeros(entries.num_rows, np.bool_)
        self._next = 0
        self._by_content: _ByContent | None = None

    def match(self, samples: pa.RecordBatch) -> Matched:
        """The entries that `samples` (schema SAMPLE) take."""
        # Most data are in the order of their ids: then nothing needs to be looked up.
        matched = self._run_from(self._next, samples)
        if matched is None and "id" in self._compared:
            # The next shard, say, begins elsewhere.
            matched = self._run_from(self._row_of(samples.column("id")[0].as_py()), samples)
        if matched is None:
            matched = self._look_up(samples)
        rows = matched.rows[matched.rows >= 0]
        self._taken[rows] = True
        self._next = int(rows[-1]) + 1 if len(rows) else self._next
        return matched

    def refusal(self, samples: pa.RecordBatch, at: int) -> SampleError:
        """The error for the sample in row `at`, which took no entry."""
        finding, entry, why = self._explained(samples, at)
        if entry is not None:
            return sample_error(self._reference, entry, samples.column("content")[at].as_py(), why)
        return SampleError(
            f"{quoted(finding.id)} does not load: {self._reference} has no such sample",
            sample=finding.id,
            found=finding.found,
            hint=_hint(self._reference),
        )

    def finding(self, samples: pa.RecordBatch, at: int) -> Finding:
        """The finding for the sample in row `at`, which took no entry."""
        return self._explained(samples, at)[0]

    def _explained(
        self, samples: pa.RecordBatch, at: int
    ) -> tuple[Finding, dict[str, Any] | None, str]:
        sample = samples.slice(at, 1)
        name = sample.column("id")[0].as_py()
        found = written_digest(sample.column("content")[0].as_py())
        key = self._compared[0]
        entries = self._entries.filter(pc.equal(self._entries.column(key), sample.column(key)[0]))
        if not entries.num_rows:
            return Finding("stranger", name, found=found), None, ""
        entry = entries.slice(0, 1).to_pylist()[0]
        who = {"source": entry["source"], "labeler": entry["labeler"]}
        expected = written_digest(entry["content"])
        if expected != found:
            finding = Finding("changed", entry["id"], expected=expected, found=found, **who)
            return finding, entry, "its bytes differ from the signed ones"
        unlike = self._told.differences(entries, sample.take(pa.array([0] * entries.num_rows)))
        for field, mask in unlike.items():
            if mask.all():
                return self._difference(field, entries.slice(0, 1), sample), entry, _WHY[field]
        why = "it occurs more often in the data than in the manifest"
        return Finding("stranger", name, found=found), entry, why

    def _difference(self, field: str, entry: pa.Table, sample: pa.RecordBatch) -> Finding:
        """The finding for a `field` of `sample` that differs from its entry."""
        columns = [without_dictionary(table.column(field)) for table in (entry, sample)]
        if field == "labeled_at":
            columns = [format_utc_times(column) for column in columns]
        expected, found = (column[0].as_py() for column in columns)
        return Finding(
            FINDING_KINDS[field],
            entry.column("id")[0].as_py(),
            expected=expected,
            found=found,
            source=entry.column("source")[0].as_py(),
            labeler=entry.column("labeler")[0].as_py(),
            detail=field if FINDING_KINDS[field] == "reattributed" else None,
        )

    def missing(self) -> Rows:
        """The rows of the entries that no sample took."""
        return np.flatnonzero(~self._taken)

    def missing_sample(self, row: int) -> SampleError:
        """The error for an entry that no sample took."""
        entry = self._entries.slice(row, 1).to_pylist()[0]
        return sample_error(self._reference, entry, None, "it is missing from the data")

    def missing_samples(self, rows: Rows) -> NotTrustedError:
        """The error (step 12) for all of these, with findings for the first of them."""
        findings = self.missing_findings(rows[:_MOST_FINDINGS])
        return NotTrustedError(
            f"{len(rows):,} samples of {self._reference} are missing from the data, the first is"
            f" {quoted(findings[0].id)}",
            step=12,
            hint=_hint(self._reference),
            findings=findings,
        )

    def repeated_samples(self, count: int) -> NotTrustedError:
        """The error (step 12) for samples that several processes took, each in its own files."""
        return NotTrustedError(
            f"{count:,} samples of {self._reference} occur more often in the data than in the"
            " manifest",
            step=12,
            hint=_hint(self._reference),
        )

    def missing_findings(self, rows: Rows) -> tuple[Finding, ...]:
        """A finding for each of these entries."""
        entries = self._entries.take(pa.array(rows)).to_pylist()
        return tuple(
            Finding(
                "missing",
                entry["id"],
                expected=written_digest(entry["content"]),
                source=entry["source"],
                labeler=entry["labeler"],
            )
            for entry in entries
        )

    def _run_from(self, start: int, samples: pa.RecordBatch) -> Matched | None:
        """The entries from row `start` on, if they match `samples` one by one."""
        end = start + samples.num_rows
        ahead = self._entries.slice(start, samples.num_rows)
        if (
            ahead.num_rows < samples.num_rows
            or self._taken[start:end].any()
            or self._unlike(ahead, samples).any()
        ):
            return None
        return Matched(np.arange(start, end), ahead)

    def _row_of(self, name: str) -> int:
        """The row of the first id that is not below `name`."""
        ids, sought = self._entries.column("id"), name.encode()
        return bisect_left(range(len(ids)), sought, key=lambda row: ids[row].as_py().encode())

    def _look_up(self, samples: pa.RecordBatch) -> Matched:
        """As `match`, of samples in any order."""
        if self._by_content is None:
            self._by_content = _ByContent(self._entries, self._names, self._origins, self._taken)
        rows, several = self._by_content.rows(samples)
        found = np.flatnonzero(rows >= 0)
        signed = self._by_content.take(rows[found])
        # Without ids, equal entries are not told apart by their origins: the lookup has checked
        # that one of them has the sample's.
        equals = None if self._ids_read else several[found]
        good = ~self._unlike(signed, samples.take(pa.array(found)), equals)
        good &= ~self._taken[rows[found]] & _first_occurrences(rows[found])
        rows[found[~good]] = -1
        return Matched(rows, signed if good.all() else signed.filter(pa.array(good)))

    def _unlike(
        self, entries: pa.Table, samples: pa.RecordBatch, equals: Mask | None = None
    ) -> Mask:
        """The samples that differ from their entries, except in the origins of `equals`."""
        masks = [unequal(entries.column(name), samples.column(name)) for name in self._compared]
        for name, mask in self._told.differences(entries, samples).items():
            if equals is None or name in self._told.always:
                masks.append(mask)
            else:
                masks.append(mask & ~equals)
        different: Mask = np.logical_or.reduce(masks)
        return different

    def _names(self, table: pa.Table | pa.RecordBatch) -> list[Any]:
        """Keys that tell entries or samples of one content apart."""
        if self._ids_read:
            ids: list[Any] = table.column("id").to_pylist()
            return ids
        columns = [
            without_dictionary(table.column(name)) for name in self._told.always if name != "label"
        ]
        if "label" in self._told.always:
            if "label_digest" in table.schema.names:
                columns += without_dictionary(table.column("label")), table.column("label_digest")
            else:
                columns += split_long_labels(table.column("label"))
        if not columns:
            return [None] * table.num_rows
        return list(zip(*(column.to_pylist() for column in columns), strict=True))

    def _origins(self, table: pa.Table | pa.RecordBatch) -> list[tuple[tuple[str, Any], ...]]:
        """(field, value) pairs of the optional columns of entries or samples without ids."""
        names = () if self._ids_read else self._told.if_present
        origins: list[tuple[tuple[str, Any], ...]] = [()] * table.num_rows
        for name in names:
            column = without_dictionary(table.column(name))
            if name == "labeled_at":  # as numbers, whatever the year
                column = column.cast(pa.int64())
            for at, value in enumerate(column.to_pylist()):
                if value is not None:
                    origins[at] += ((name, value),)
        return origins


class _Equals(NamedTuple):
    """Entries of one content and key: their rows, last first, and their `origins`."""

    rows: list[int]
    origins: set[tuple[str, Any]]


class _ByContent:
    """Finds entries by the first 8 bytes of their content, and on a collision by key as well.

    `names` returns the keys of entries and of samples, `origins` their optional columns; `taken`
    marks the entries that samples took.
    """

    def __init__(
        self,
        entries: pa.Table,
        names: Callable[[Any], list[Any]],
        origins: Callable[[Any], list[tuple[tuple[str, Any], ...]]],
        taken: Mask,
    ) -> None:
        self._parts = entries.to_batches()
        self._ends = np.cumsum([part.num_rows for part in self._parts])
        keys = np.concatenate([_heads(part.column("content")) for part in self._parts])
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._names = names
        self._origins = origins
        self._taken = taken
        self._pools: dict[int, dict[tuple[bytes, Any], _Equals]] = {}

    def rows(self, samples: pa.RecordBatch) -> tuple[Rows, Mask]:
        """(the row of each sample's entry, -1 without one; which were chosen among several)."""
        keys = _heads(samples.column("content"))
        first = np.searchsorted(self._keys, keys, "left")
        count = np.searchsorted(self._keys, keys, "right") - first
        rows = np.where(count == 1, self._order.take(first, mode="clip"), -1)
        several = np.flatnonzero(count > 1)
        if len(several):
            drawn = samples.take(pa.array(several))
            contents, names = drawn.column("content").to_pylist(), self._names(drawn)
            for at, content, name, said in zip(
                several.tolist(), contents, names, self._origins(drawn), strict=True
            ):
                equals = self._pool(int(first[at]), int(count[at])).get((content, name))
                if equals is None or not equals.origins.issuperset(said):
                    continue
                while equals.rows and self._taken[equals.rows[-1]]:
                    equals.rows.pop()
                rows[at] = equals.rows.pop() if equals.rows else -1
        return rows, count > 1

    def take(self, rows: Rows) -> pa.Table:
        """The entries in `rows`; `Table.take` would first join the chunks of whole columns."""
        if not len(rows):
            return pa.Table.from_batches([], self._parts[0].schema)
        part = np.searchsorted(self._ends, rows, "right")
        order = np.argsort(part, kind="stable")
        numbers, begins = np.unique(part[order], return_index=True)
        taken = []
        for number, places in zip(numbers.tolist(), np.split(order, begins[1:]), strict=True):
            start = self._ends[number] - self._parts[number].num_rows
            taken.append(self._parts[number].take(pa.array(rows[places] - start)))
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.Table.from_batches(taken).take(pa.array(back))

    def _pool(self, first: int, count: int) -> dict[tuple[bytes, Any], _Equals]:
        """The entries that share their first 8 bytes, by content and key."""
        if first not in self._pools:
            rows = np.sort(self._order[first : first + count])[::-1]
            entries = self.take(rows)
            pool: dict[tuple[bytes, Any], _Equals] = {}
            contents, names = entries.column("content").to_pylist(), self._names(entries)
            for row, content, name, said in zip(
                rows.tolist(), contents, names, self._origins(entries), strict=True
            ):
                equals = pool.setdefault((content, name), _Equals([], set()))
                equals.rows.append(row)
                equals.origins.update(said)
            self._pools[first] = pool
        return self._pools[first]


def sample_error(
    reference: str, entry: dict[str, Any], found: bytes | None, why: str
) -> SampleError:
    """The error for a sample with the signed `entry` that does not load."""
    labeler = "none" if entry["labeler"] is None else quoted(entry["labeler"])
    return SampleError(
        f"{quoted(entry['id'])} of {reference} does not load: {why}"
        f" (source {quoted(entry['source'])}, labeler {labeler})",
        sample=entry["id"],
        expected=written_digest(entry["content"]),
        found=None if found is None else written_digest(found),
        source=entry["source"],
        labeler=entry["labeler"],
        hint=_hint(reference),
    )


def _hint(reference: str) -> str:
    return f"`provreg verify {reference} --data …` lists all differences"


def _heads(content: pa.Array) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of every digest."""
    # The buffer may be longer than the array.
    digests = np.frombuffer(content.buffers()[1], "V32", content.offset + len(content))
    return digests[content.offset :].view(np.uint64)[::4].copy()


def _first_occurrences(rows: Rows) -> Mask:
    """Which rows are not repetitions of earlier ones."""
    if (rows[1:] > rows[:-1]).all():
        return np.ones(len(rows), np.bool_)
    mask = np.zeros(len(rows), np.bool_)
    mask[np.unique(rows, return_index=True)[1]] = True
    return mask
