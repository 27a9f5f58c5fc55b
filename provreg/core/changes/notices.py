"""What deserves a look before a version is published: classes, names, labels and bytes.

Each notice names samples. A notice refuses nothing: that is the policy's (`content_rules`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import BIT, Changes
from provreg.core.encoding.lookalikes import lookalikes, pair_in_words
from provreg.core.encoding.text import quoted, quoted_ascii
from provreg.core.manifest.columns import Mask, RowNumbers, equal_to, take_rows, whole
from provreg.core.rows.row_hash import without_dictionary

_SHOWN = 3
_MOST_NAMES = 10_000
# A class is rare below this share of the median class, if that has enough samples to tell.
_RARE, _MEDIAN = 0.02, 100
# Files are unlike the others if so large a share is of another kind.
_USUAL, _ENOUGH_FILES, _SAMPLE = 0.9, 20, 1000
_KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"), "picture"),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"), "sound"),
    **dict.fromkeys((".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm"), "film"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """What deserves a look: its `kind`, what it is in words, and how many samples it concerns.

    `ids` are the first of these samples, `names` the labels, sources or labelers in question.
    """

    kind: str
    message: str
    samples: int
    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the documents of `ingest` and `diff` have it."""
        return {
            "kind": self.kind,
            "message": self.message,
            "samples": self.samples,
            "ids": list(self.ids),
            "names": list(self.names),
        }


def notices(
    changes: Changes, *, labels_file_before: bool, labels_file: bool, are_files: bool
) -> list[Notice]:
    """The notices about `changes` from the parent to the entries of a version to be.

    `labels_file_before`: the parent's labels came from a labels file; `labels_file`: there is one
    now. `are_files`: ids are paths of files.
    """
    touched = np.sort(changes.new_rows[changes.new_rows >= 0])
    if not len(touched):
        return []
    entries = changes.new
    found: list[Notice] = []
    if changes.old.num_rows and not labels_file and labels_file_before:
        found += _forgotten_labels(changes)
    found += _unlabeled(entries, touched, forgotten=bool(found))
    found += _classes(changes, touched)
    for name in ("source", "labeler"):
        found += _lookalike_names(changes, touched, name)
    found += _equal_contents(entries, touched)
    found += _empty(entries, touched)
    if are_files:
        found += _unusual_files(entries, touched)
    return found


def _forgotten_labels(changes: Changes) -> Iterator[Notice]:
    injected = changes.new_rows[(changes.kinds & BIT["injected"]) != 0]
    unlabeled = injected[_without_label(take_rows(changes.new, injected))]
    if len(unlabeled) and len(unlabeled) == len(injected):
        ids = _ids(changes.new, unlabeled)
        yield Notice(
            "labels-forgotten",
            f"{_count(len(unlabeled))} without a label: earlier labels came from a labels file,"
            " now there is none (--labels FILE)",
            len(unlabeled),
            ids,
        )


def _unlabeled(entries: pa.Table, touched: RowNumbers, *, forgotten: bool) -> Iterator[Notice]:
    """Samples without a label among those that came or changed, where any sample has one."""
    labels = entries.select(["label", "label_digest"])
    without = _without_label(labels)
    rows = touched[without[touched]]
    if not len(rows) or forgotten or without.all():
        return
    annotated = entries.column("annotations")
    tied = 0
    if annotated.null_count < len(annotated):
        valid = np.asarray(annotated.is_valid().to_numpy(), np.bool_)
        tied = int(np.count_nonzero(valid[rows]))
    text = f"{len(rows):,} of {_count(len(touched))} have no label ({len(rows) / len(touched):.2%})"
    if tied:
        text += f", {tied:,} of them because their annotations are tied"
    yield Notice("no-label", text, len(rows), _ids(entries, rows))


def _without_label(entries: pa.Table) -> Mask:
    null = [
        np.asarray(entries.column(name).is_null().to_numpy(), np.bool_)
        for name in ("label", "label_digest")
    ]
    return np.asarray(np.logical_and(*null), np.bool_)


def _classes(changes: Changes, touched: RowNumbers) -> Iterator[Notice]:
    entries = changes.new
    totals = _counts(entries.column("label"))
    if not 0 < len(totals) <= _MOST_NAMES:
        return
    here = take_rows(entries.select(["label"]), touched).column("label")
    now = _counts(here)
    before = _counts(changes.old.column("label"))

    def notice(kind: str, text: str, *names: str) -> Notice:
        mask = np.zeros(len(here), np.bool_)
        decoded = without_dictionary(here)
        chosen = [name for name in names if name in now]
        mask |= np.asarray(pc.is_in(decoded, value_set=pa.array(chosen, pa.string())), np.bool_)
        rows = touched[mask]
        return Notice(kind, text, len(rows), _ids(entries, rows), names)

    new = [name for name in now if name not in before] if before else []
    if new:
        names = _listed(f"{quoted(name)} ({totals[name]:,})" for name in new)
        yield notice("new-class", f"{_plural(len(new), 'new class', 'new classes')}: {names}", *new)
    median = float(np.median(list(totals.values())))
    rare = [name for name in now if totals[name] < _RARE * median] if median >= _MEDIAN else []
    if rare:
        names = _listed(f"{quoted(name)} ({totals[name]:,})" for name in rare)
        text = f"{_plural(len(rare), 'rare class', 'rare classes')} (median {median:,.0f} samples)"
        yield notice("rare-class", f"{text}: {names}", *rare)
    padded = [name for name in now if name != name.strip()]
    if padded:
        names = _listed(quoted_ascii(name) for name in padded)
        yield notice("blank-padded-class", f"classes with blanks at an end: {names}", *padded)
    for a, b, _ in lookalikes(now, totals, before)[:_SHOWN]:
        text = f"classes that look alike: {pair_in_words(a, b, totals)}"
        yield notice("similar-classes", text, a, b)


def _lookalike_names(changes: Changes, touched: RowNumbers, column: str) -> Iterator[Notice]:
    entries = changes.new
    totals = _counts(entries.column(column))
    if not 1 < len(totals) <= _MOST_NAMES:
        return
    here = take_rows(entries.select([column]), touched).column(column)
    before = _counts(changes.old.column(column))
    for a, b, _ in lookalikes(_counts(here), totals, before)[:_SHOWN]:
        rows = touched[equal_to(here, a)]
        text = f"{column}s that look alike: {pair_in_words(a, b, totals)}"
        yield Notice(f"similar-{column}s", text, len(rows), _ids(entries, rows), (a, b))


def _equal_contents(entries: pa.Table, touched: RowNumbers) -> Iterator[Notice]:
    """Bytes that several ids have, if one of these came or changed."""
    heads = _first_words(entries.column("content"))
    ascending = np.sort(heads)
    repeated = ascending[1:][ascending[1:] == ascending[:-1]]
    if not len(repeated) or not np.isin(heads[touched], repeated).any():
        return
    rows = np.flatnonzero(np.isin(heads, repeated))
    table = take_rows(entries.select(["content", "label", "label_digest"]), rows)
    group = whole(table.column("content")).cast(pa.binary()).dictionary_encode().indices.to_numpy()
    sizes = np.bincount(group)
    is_touched = np.isin(rows, touched)
    chosen = (sizes > 1) & (np.bincount(group, weights=is_touched) > 0)
    members = chosen[group]
    if not members.any():
        return
    label = without_dictionary(whole(table.column("label")))
    first = np.zeros(len(sizes), np.int64)
    first[group[::-1]] = np.arange(len(group))[::-1]
    other = label.take(pa.array(first[group]))
    same = pc.or_(
        pc.fill_null(pc.equal(label, other), False), pc.and_(label.is_null(), other.is_null())
    )
    unlike = np.unique(group[~np.asarray(same.to_numpy(zero_copy_only=False), np.bool_) & members])
    if len(unlike):
        pairs = np.isin(group, unlike)
        yield Notice(
            "equal-bytes-other-label",
            f"{_plural(len(unlike), 'content has', 'contents have')} several ids with different"
            f" labels ({_count(int(np.count_nonzero(pairs)))})",
            int(np.count_nonzero(pairs)),
            _together(entries, rows[pairs], group[pairs]),
        )
    if int(np.count_nonzero(chosen)) > len(unlike):
        alike = members & ~np.isin(group, unlike)
        count = int(np.count_nonzero(chosen)) - len(unlike)
        yield Notice(
            "equal-bytes",
            f"{_plural(count, 'content has', 'contents have')} several ids"
            f" ({_count(int(np.count_nonzero(alike)))})",
            int(np.count_nonzero(alike)),
            _together(entries, rows[alike], group[alike]),
        )


def _together(entries: pa.Table, rows: RowNumbers, group: RowNumbers) -> tuple[str, ...]:
    """The first ids, those of equal bytes beside each other."""
    return _ids(entries, rows[np.argsort(group, kind="stable")])


def _first_words(content: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The first 8 bytes of each digest, as numbers."""
    words = [np.empty(0, np.uint64)]
    for chunk in content.chunks:
        data = np.frombuffer(chunk.buffers()[1], np.uint8)
        digests = data[chunk.offset * 32 : (chunk.offset + len(chunk)) * 32].reshape(-1, 32)
        words.append(digests[:, :8].copy().view(np.uint64)[:, 0])
    return np.concatenate(words)


def _empty(entries: pa.Table, touched: RowNumbers) -> Iterator[Notice]:
    size = np.asarray(take_rows(entries.select(["size"]), touched).column("size").to_numpy())
    rows = touched[size == 0]
    if len(rows):
        yield Notice("empty", f"{_count(len(rows))} without a byte", len(rows), _ids(entries, rows))


def _unusual_files(entries: pa.Table, touched: RowNumbers) -> Iterator[Notice]:
    """Files of another kind than nearly all others, by the end of their names."""
    ids = entries.column("id")
    if len(ids) < _ENOUGH_FILES:
        return
    # What nearly all files are, a sample of them is, too.
    sample = ids.take(pa.array(np.arange(0, len(ids), max(1, len(ids) // _SAMPLE))))
    endings = Counter(map(_ending, sample.to_pylist()))
    kinds: Counter[str] = Counter()
    for ending, count in endings.items():
        kinds[_kind_of(ending)] += count
    usual = kinds.most_common(1)[0][0]
    # As they are written; the few others are looked at one by one.
    written = [ending for ending in endings if ending and _kind_of(ending) == usual]
    masks = [pc.ends_with(ids, ending) for ending in written]
    if not usual:
        masks = [pc.match_substring_regex(ids, r"(^|/)\.?[^./]*$")]
    mask = np.array(reduce(pc.or_, masks).to_numpy(), np.bool_)
    left = np.flatnonzero(~mask)
    if len(left) > 2 * (1 - _USUAL) * len(ids):
        return
    paths = ids.take(pa.array(left)).to_pylist()
    mask[left] = [_kind_of(_ending(path)) == usual for path in paths]
    share = np.count_nonzero(mask) / len(ids)
    rows = touched[~mask[touched]]
    if share < _USUAL or not len(rows):
        return
    what = f"named *{usual}" if usual else "without an ending"
    if usual in _KINDS.values():
        what = f"{usual}s"
    text = f"{_count(len(rows))} of another kind: {share:.0%} are {what}"
    yield Notice("unusual-file", text, len(rows), _ids(entries, rows))


def _ending(path: str) -> str:
    """The end of a file's name with its dot; empty without one."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:] if dot > 0 else ""


def _kind_of(ending: str) -> str:
    """The kind of files with this ending, by default the ending itself."""
    return _KINDS.get(ending.lower(), ending.lower())


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """The number of each name in a column of names, most frequent first."""
    totals: Counter[str] = Counter()
    for chunk in column.chunks:
        counts = pc.value_counts(chunk.drop_null())
        names = counts.field("values").cast(pa.string()).to_pylist()
        totals.update(dict(zip(names, counts.field("counts").to_pylist(), strict=True)))
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _ids(entries: pa.Table, rows: RowNumbers) -> tuple[str, ...]:
    return tuple(entries.column("id").take(pa.array(rows[:_SHOWN])).to_pylist())


def _listed(words: Iterator[str] | Sequence[str]) -> str:
    """The first of `words`, and how many more there are."""
    words = list(words)
    more = f" and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def _count(samples: int) -> str:
    return _plural(samples, "sample", "samples")


def _plural(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
