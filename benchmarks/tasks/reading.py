"""Reading and hashing alone, without a registry: whole processes, cold start included."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def hash_folder(folder: str) -> dict[str, Any]:
    """Lists and hashes the files of a folder; `contents` is as `benchmarks.digests` has it."""
    from provreg.executors.processes import local_processes
    from provreg.readers.files.hashing import hash_files
    from provreg.readers.files.walk import list_samples

    content = hash_files(list_samples([folder]).runs, executor=local_processes()).content
    return {"samples": len(content) // 32, "contents": hashlib.sha256(content).hexdigest()}


def read_folder(folder: str) -> dict[str, Any]:
    """Lists and hashes the files as ingestion does, into a table of samples."""
    from provreg.executors.processes import local_processes
    from provreg.readers.files.folder import FolderOptions
    from provreg.readers.files.folder import read_folder as read

    found = read([folder], FolderOptions(label="none"), executor=local_processes())
    return {"samples": found.table.num_rows, "contents": contents_digest(found.table)}


def hash_rows(path: str, format_: str) -> dict[str, Any]:
    """Reads and hashes the rows of a table."""
    from provreg.core.rows.column import FLOAT64, INT
    from provreg.executors.processes import local_processes
    from provreg.readers.tables.table import TableOptions, read_table

    types = {"number": INT, "score": FLOAT64} if format_ == "csv" else {}
    options = TableOptions(id="key", label="class", types=types)
    found = read_table([Path(path)], format_, options, executor=local_processes())
    return {"samples": found.table.num_rows, "contents": contents_digest(found.table)}


def contents_digest(table: Any) -> str:
    """SHA-256 over the content digests of samples or entries, in their order."""
    found = hashlib.sha256()
    for chunk in table.column("content").chunks:
        start, width = chunk.offset, 32
        data = memoryview(chunk.buffers()[1])
        found.update(data[start * width : (start + len(chunk)) * width])
    return found.hexdigest()
