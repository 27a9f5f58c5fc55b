"""The MinHash signatures of a version's texts, of verified bytes, each computed once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import whole
from provreg.core.manifest.leaf import fixed_values
from provreg.errors import InputError, UsageError
from provreg.executors.api import Progress
from provreg.executors.processes import local_processes
from provreg.flows.reading.samples import files_again, rows_again
from provreg.flows.screen.contents import HINT, new_contents, read_as_signed
from provreg.flows.session.workspace import Workspace
from provreg.readers.api import Payloads
from provreg.screening.statistics.minhash import VERSION, folding_digest, signatures
from provreg.store.private.content_hashes import TEXTS, ContentHashes

_TEXT = re.compile(
    r"(.*[./])?(txt|text|md|markdown|rst|tex|html?|xml|json|csv|tsv|ya?ml|log|eml|srt|vtt)",
    re.IGNORECASE | re.DOTALL,
)
# Texts of one task, and characters after which it has no more.
_TASK, _TASK_CHARACTERS = 512, 1 << 20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# A content and its text; the text is None where there is none.
_Read = tuple[bytes, str | None]


def text_signatures(
    workspace: Workspace,
    entries: pa.Table,
    reading: Mapping[str, Any],
    paths: Sequence[Path],
    *,
    progress: Progress | None = None,
) -> pa.Table:
    """The signatures (schema `TEXTS`) of the texts in `entries`.

    Contents whose signatures are not kept yet are read from the data at `paths`, in all cores;
    without paths only those that are kept are returned. Raises UsageError where no sample is a
    text, InputError for a sample that is not as signed, StorageError.
    """
    kept = ContentHashes(workspace.parts_folder, f"texts-{VERSION}-{folding_digest()}", TEXTS)
    known = kept.load()
    if paths:
        found = list(_computed(entries, known, reading, paths, progress))
        if found:
            known = kept.add(pa.concat_tables(found))
    contents = pc.unique(entries.column("content").combine_chunks())
    texts = known.filter(
        pc.and_(known.column("is_text"), pc.is_in(known.column("content"), value_set=contents))
    )
    if paths and not texts.num_rows:
        raise UsageError("--minhash needs samples that are texts, or rows with texts")
    return texts


def _computed(
    entries: pa.Table,
    known: pa.Table,
    reading: Mapping[str, Any],
    paths: Sequence[Path],
    progress: Progress | None,
) -> Iterator[pa.Table]:
    """The signatures of what is not `known`, a task at a time."""
    opened = files_again(paths, reading)
    if opened is None:
        new = new_contents(entries, known)
        read = _tasks(_streamed(new, reading, paths)) if new.num_rows else iter(())
        results = local_processes().map(_of_rows, read)
    else:
        opened.close()
        new = new_contents(entries, known, _is_text)
        columns = (new.column(name).to_pylist() for name in ("id", "content"))
        files = iter(list(zip(*columns, strict=True)))
        tasks = iter(lambda: list(islice(files, _TASK)), [])
        results = local_processes().map(partial(_of_files, tuple(paths), reading), tasks)
    done = 0
    for table in results:
        yield table
        done += table.num_rows
        if progress is not None:
            progress(done, new.num_rows)


def _of_files(
    paths: tuple[Path, ...], reading: Mapping[str, Any], samples: Sequence[tuple[str, bytes]]
) -> pa.Table:
    """The signatures of files, (id, content). Runs in a worker."""
    files = files_again(paths, reading)
    if files is None:
        raise UsageError("the data are rows")
    with files:
        read = (
            (content, _decoded(read_as_signed(files, sample, content)))
            for sample, content in samples
        )
        return _signed(read, len(samples))


def _of_rows(read: Sequence[_Read]) -> pa.Table:
    """The signatures of texts of rows. Runs in a worker."""
    return _signed(read, len(read))


def _signed(read: Iterable[_Read], count: int) -> pa.Table:
    """The signatures of `count` texts, which are taken one by one."""
    contents: list[bytes] = []
    are_texts: list[bool] = []

    def texts() -> Iterator[str]:
        for content, text in read:
            contents.append(content)
            are_texts.append(text is not None)
            yield text or ""

    words, seen = signatures(texts(), count)
    arrays = [pa.array(contents, pa.binary(32)), pa.array(are_texts, pa.bool_())]
    arrays += [pa.array(column, pa.uint64(), mask=~seen) for column in words.T]
    return pa.Table.from_arrays(arrays, schema=TEXTS)


def _tasks(read: Iterable[_Read]) -> Iterator[list[_Read]]:
    """Texts in lists that are worth sending to a worker, and small."""
    task: list[_Read] = []
    characters = 0
    for content, text in read:
        task.append((content, text))
        characters += len(text or "")
        if len(task) == _TASK or characters >= _TASK_CHARACTERS:
            yield task
            task, characters = [], 0
    if task:
        yield task


def _streamed(new: pa.Table, reading: Mapping[str, Any], paths: Sequence[Path]) -> Iterator[_Read]:
    """The contents of `new` with their texts, in the order of the data; each is hashed there.

    Raises InputError at the end where one is not in the data.
    """
    signed = _contents(whole(new.column("content")))
    order = np.argsort(signed)
    wanted, found = signed[order], np.zeros(len(order), np.bool_)
    with closing(rows_again(paths, reading)) as stream:
        for payloads, samples in stream:
            contents = _contents(samples.column("content"))
            places = np.minimum(np.searchsorted(wanted, contents), len(wanted) - 1)
            rows = np.flatnonzero((wanted[places] == contents) & ~found[places])
            rows = rows[np.sort(np.unique(places[rows], return_index=True)[1])]
            found[places[rows]] = True
            taken = samples.column("content").take(pa.array(rows)).to_pylist()
            yield from zip(taken, _texts(payloads, rows.tolist()), strict=True)
            if found.all():
                return
    sample = new.column("id")[int(order[np.flatnonzero(~found)[0]])].as_py()
    raise InputError(
        f"{quoted(sample)} is not in the data, or not as signed", sample=sample, hint=HINT
    )


def _contents(column: pa.Array) -> npt.NDArray[np.bytes_]:
    return fixed_values(column).view("S32")


def _texts(payloads: Payloads, rows: Sequence[int]) -> list[str | None]:
    """All texts of each payload in `rows`, joined in the order of their names."""
    if not isinstance(payloads, pa.RecordBatch):
        return [_text_of(payloads[row]) for row in rows]
    taken = payloads.take(pa.array(rows, pa.int64()))
    columns = {
        name: column.to_pylist()
        for name, column in zip(taken.schema.names, taken.columns, strict=True)
        if _holds_text(column.type)
    }
    if not columns:
        return [None] * len(rows)
    listed = [columns[name] for name in sorted(columns)]
    return [_joined(_parts(values)) for values in zip(*listed, strict=True)]


def _text_of(payload: bytes | Mapping[str, bytes]) -> str | None:
    """The text of a payload without a name, or of the members that are texts."""
    return _decoded(payload) if isinstance(payload, bytes) else _joined(_parts(payload))


def _joined(parts: Iterable[str]) -> str | None:
    listed = list(parts)
    return "\n".join(listed) if listed else None


def _parts(value: Any) -> Iterator[str]:
    """The texts in a value, and those of the files in it that are texts by their names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        if isinstance(value.get("path"), str) and "bytes" in value:  # a file that a row names
            value = {value["path"]: value["bytes"]}
        for name in sorted(value):
            member = value[name]
            if not isinstance(member, bytes):
                yield from _parts(member)
            elif _is_text(name) and (text := _decoded(member)) is not None:
                yield text
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)


def _holds_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return _holds_text(type_.value_type)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return True
    return any(_holds_text(type_.field(at).type) for at in range(type_.num_fields))


def _is_text(name: str) -> bool:
    return _TEXT.fullmatch(name) is not None


def _decoded(data: bytes) -> str | None:
    """`data` as text, None for what is none."""
    if data.startswith(_UTF_16):
        return data.decode("utf-16", "replace")
    return None if b"\0" in data else data.decode("utf-8", "replace")
