"""Receipts in the index: by what a run read and by what it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from provreg.core.encoding.canonical import canonical
from provreg.core.manifest.entry import TIMESTAMP
from provreg.core.statements.receipt import Receipt
from provreg.store.index.index import Index

_TABLES = ("runs", "models", "trained")
_TEXT, _COUNT = pa.string(), pa.int64()
_RUNS = pa.schema(
    [("receipt", _TEXT), ("run", _TEXT), ("started", TIMESTAMP), ("finished", TIMESTAMP),
     ("code_commit", _TEXT), ("dirty", pa.bool_()), ("script", _TEXT), ("parameters", _TEXT)]
)  # fmt: skip
_MODELS = pa.schema(
    [("receipt", _TEXT), ("name", _TEXT), ("size", _COUNT), ("sha256", _TEXT), ("blake3", _TEXT)]
)
_TRAINED = pa.schema(
    [("receipt", _TEXT), ("dataset", _TEXT), ("version", pa.int32()), ("head", _TEXT),
     ("samples", _COUNT), ("seen", _COUNT), ("handed_out", _COUNT)]
)  # fmt: skip


class IndexedRuns:
    """The receipts in `index`, by the written SHA-256 of their statements. Raises as `Index`."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def receipts(self) -> list[str]:
        """All of them, by the time their runs finished."""
        return self._ask("select receipt from runs order by finished, receipt", [])

    def with_file(self, digests: Sequence[str]) -> list[str]:
        """Those whose model has a file with one of these written SHA-256."""
        query = "select distinct receipt from models where sha256 in ? order by receipt"
        return self._ask(query, [list(digests)])

    def add(self, receipts: Mapping[str, Receipt]) -> None:
        """Takes in receipts whose integrity was checked."""
        with self._index.open(writing=True) as connection:
            connection.execute("begin")
            for name, rows in zip(_TABLES, _rows(receipts), strict=True):
                connection.register("incoming", rows)
                connection.execute(f"insert into {name} select * from incoming")
                connection.unregister("incoming")
            connection.execute("commit")

    def forget(self, receipts: Sequence[str]) -> None:
        """Drops receipts that are gone from the registry."""
        with self._index.open(writing=True) as connection:
            connection.execute("begin")
            for name in _TABLES:
                connection.execute(
                    f"delete from {name} where receipt in ?",
                    [list(receipts)],
                )
            connection.execute("commit")

    def _ask(self, query: str, values: list[list[str]]) -> list[str]:
        with self._index.reading() as connection:
            return [receipt for (receipt,) in connection.execute(query, values).fetchall()]


def _rows(receipts: Mapping[str, Receipt]) -> tuple[pa.Table, pa.Table, pa.Table]:
    """A row for each receipt, for each file of its model, and for each version it was made from."""
    runs = [
        {
            "receipt": digest, "run": receipt.run,
            "started": receipt.started, "finished": receipt.finished,
            "code_commit": receipt.code.commit, "dirty": receipt.code.dirty,
            "script": receipt.code.script and receipt.code.script.name,
            "parameters": canonical(receipt.parameters).decode(),
        }
        for digest, receipt in receipts.items()
    ]  # fmt: skip
    models = [
        {"receipt": digest, "name": file.name, "size": file.size, "sha256": file.sha256,
         "blake3": file.blake3}
        for digest, receipt in receipts.items()
        for file in receipt.model
    ]  # fmt: skip
    trained = [
        {"receipt": digest, "dataset": on.dataset, "version": on.version, "head": on.head,
         "samples": on.samples, "seen": on.seen, "handed_out": on.handed_out}
        for digest, receipt in receipts.items()
        for on in receipt.datasets
    ]  # fmt: skip
    return (
        pa.Table.from_pylist(runs, schema=_RUNS),
        pa.Table.from_pylist(models, schema=_MODELS),
        pa.Table.from_pylist(trained, schema=_TRAINED),
    )
