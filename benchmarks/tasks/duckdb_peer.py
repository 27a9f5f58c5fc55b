"""DuckDB doing the comparable work by itself, on two threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.tasks import timed

_THREADS = 2


def duckdb_sha256(path: str) -> dict[str, Any]:
    """Its SHA-256 over the columns we hash, joined as text (which is not injective)."""
    import duckdb

    connection = duckdb.connect(config={"threads": _THREADS})
    query = f"select max(sha256(concat(text, number, score))), count(*) from '{path}'"
    _, count = connection.sql(query).fetchall()[0]
    return {"samples": count}


def duckdb_read(path: str, format_: str) -> dict[str, Any]:
    """Merely reading: parses every field, keeps the greatest."""
    import duckdb

    connection = duckdb.connect(config={"threads": _THREADS})
    reader = {"csv": "read_csv", "jsonl": "read_json"}[format_]
    query = f"""select max(key), max(text), max(number), max(score), max(class), count(*)
                from {reader}('{path}')"""
    return {"samples": connection.sql(query).fetchall()[0][-1]}


def duckdb_join(old: str, new: str) -> dict[str, Any]:
    """The changes between two versions' part files by a full outer join; `ids` in order.

    `old` and `new` list part files, one a line.
    """
    import duckdb

    connection = duckdb.connect(config={"threads": _THREADS})
    sides = [Path(listing).read_text("utf-8").splitlines() for listing in (old, new)]
    query = """
        select coalesce(n.id, o.id) as id
        from read_parquet($old) o full join read_parquet($new) n on o.id = n.id
        where o.id is null or n.id is null
           or (o.content, o.size, o.label, o.source, o.labeler)
              is distinct from (n.content, n.size, n.label, n.source, n.labeler)
        order by 1"""
    parameters = {"old": sides[0], "new": sides[1]}
    taken, rows = timed(lambda: connection.execute(query, parameters).fetchall())
    return {"seconds": taken, "ids": digest_of_ids([row[0] for row in rows]), "changes": len(rows)}


def digest_of_ids(ids: list[str]) -> str:
    """A digest of ids in their order, to compare results by."""
    import hashlib

    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
