"""The index: a private DuckDB database of the versions whose integrity holds.

It is made from verified objects and can be deleted at any time. Whether a version is trusted is
not in it: that is asked of the policy at query time. Entries are not copied into it either, they
are scanned from the mapped parts (docs/adr/0003-entries-stay-in-arrow.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from provreg.core.encoding.names import check_utf8
from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import ENTRY
from provreg.errors import DamagedError, StorageError, UsageError
from provreg.store.files import hint_of_disk
from provreg.store.index.rows import NewVersion, rows_of
from provreg.store.index.views import (
    ENTRY_COLUMNS,
    SCREENING_TALLIES,
    SCREENING_VIEWS,
    TABLES,
    VIEWS,
)
from provreg.store.private.folders import locked

# Another number means another layout: the file is then deleted and made again.
_LAYOUT = 2
_SCHEMA = """
create table layout (number integer);
create table versions (
    head text primary key, dataset text, uid text, version integer, parent text, root text,
    samples bigint, created timestamptz, message text, counts_true boolean
);
create table parts (head text, place integer, part text, entries bigint);
create table changes (head text, place bigint, kinds utinyint, {old}, {new});
create table runs (
    receipt text primary key, run text, started timestamptz, finished timestamptz, code_commit text,
    dirty boolean, script text, parameters text
);
create table models (receipt text, name text, size bigint, sha256 text, blake3 text);
create table trained (
    receipt text, dataset text, version integer, head text, samples bigint, seen bigint,
    handed_out bigint
);
"""
_SQL_TYPES = {
    "id": "text", "content": "blob", "size": "ubigint", "label": "text", "label_digest": "blob",
    "source": "text", "labeler": "text", "labeled_at": "timestamptz", "split": "text",
    "delivery": "blob",
    "annotations": "struct(label text, labeler text, labeled_at timestamptz)[]",
    "uri": "text", "content_sha256": "blob", "attrs": "text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class IndexedVersion:
    """One version of the index. `counts_true`: its head counts its changes as they are."""

    head: str
    dataset: str
    uid: str
    version: int
    parent: str | None
    root: str
    samples: int
    created: datetime
    message: str
    counts_true: bool


class Index:
    """The index at `path`.

    DuckDB lets one process write, or several read: others wait for the lock file beside it. Methods
    raise DamagedError for a file that is no index, and StorageError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: ExitStack | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def held(self) -> Iterator[Index]:
        """This index, opened once for all that is asked of it, which takes 20 ms each time.

        What is written lets go of it first. For one thread.
        """
        index = Index(self._path)
        with ExitStack() as index._held:
            yield index
        index._held = None

    def _let_go(self) -> None:
        self._connection = None
        if self._held is not None:
            self._held.close()

    @contextmanager
    def open(self, *, writing: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection: to write, or to read tables that may be those of another provreg."""
        # DuckDB takes no other path.
        check_utf8("the path of the index, in the cache,", str(self._path))
        self._let_go()
        if not writing and not self._path.exists():
            self._make()
        with self._locked(writing=writing), self._failures():
            connection = duckdb.connect(str(self._path), read_only=not writing)
            try:
                connection.execute("set timezone = 'UTC'")
                if writing:
                    _create_tables(connection)
                yield connection
            finally:
                connection.close()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to read the tables of this one."""
        if self._held is None:
            with self._opened() as connection:
                yield connection
            return
        if self._connection is None:
            self._connection = self._held.enter_context(self._opened())
        with self._failures():
            yield self._connection

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.open(writing=False) as connection:
            current = _layout(connection) == _LAYOUT
            if current:
                yield connection
        if not current:
            self._make()
            with self.open(writing=False) as connection:
                yield connection

    def _make(self) -> None:
        """Makes the file, or its tables anew where another provreg laid them out."""
        with self.open(writing=True):
            pass

    @contextmanager
    def _locked(self, *, writing: bool) -> Iterator[None]:
        purpose = "writing to the index" if writing else "reading the index"
        with locked(self._path.with_suffix(".use"), purpose, shared=not writing):
            yield

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            index, complaint = f"the index at {quoted(str(self._path))}", _complaint(error)
            if hint := hint_of_disk(str(error)):
                raise StorageError(f"{index} cannot be used: {complaint}", hint=hint) from None
            raise DamagedError(
                f"{index} is damaged: {complaint}",
                hint="it holds nothing of its own: delete it, and it is made again",
            ) from None

    def versions(self, dataset: str | None = None) -> list[IndexedVersion]:
        """All versions, or those of one dataset, by dataset and number."""
        query = "select * from versions where ? is null or dataset = ? order by dataset, version"
        with self.reading() as connection:
            # Through Arrow: DuckDB's own conversion of moments to Python needs another package.
            rows = connection.sql(query, params=[dataset, dataset]).to_arrow_table().to_pylist()
        return [IndexedVersion(**row) for row in rows]

    def add(self, versions: Sequence[NewVersion]) -> None:
        """Takes in versions whose integrity was checked: all of them or none."""
        rows = rows_of(versions)
        heads = [new.digest for new in versions]
        with self.open(writing=True) as connection:
            connection.execute("begin")
            for table, incoming in rows.items():
                connection.execute(f"delete from {table} where head in ?", [heads])
                # Through Arrow: a statement for each row takes a millisecond.
                connection.register("incoming", incoming)
                connection.execute(f"insert into {table} by name from incoming")
                connection.unregister("incoming")
            connection.execute("commit")

    def changes(self, heads: Sequence[str]) -> pa.Table:
        """The changes of the versions `heads`, in that order and by id within one.

        Columns: `version` (the place in `heads`), `kinds` (bits as in `changes.BIT`), and
        `old_…` and `new_…` for every column of an entry.
        """
        names = [f"{side}_{field.name}" for side in ("old", "new") for field in ENTRY]
        query = (
            f"select h.version, c.kinds, {', '.join('c.' + name for name in names)} "
            "from changes c join wanted h on c.head = h.head order by h.version, c.place"
        )
        wanted = pa.table({"head": list(heads), "version": pa.array(range(len(heads)), pa.int32())})
        with self.reading() as connection:
            connection.register("wanted", wanted)
            table: pa.Table = connection.sql(query).to_arrow_table()
        return table

    def origins_of_changes(
        self, heads: Sequence[str], kinds: Mapping[int, str], *, most: int
    ) -> list[tuple[str, int, str | None, int]]:
        """(head, kind, name, changes): who is named for the changes of these versions.

        `kinds` has the column of an entry that names them for each kind, a bit of `changes.BIT`. Of
        the names of one version and kind, those with the `most` changes.
        """
        parts = [
            f"select head, {bit} as kind, new_{column} as name from changes"
            f" where head in (select unnest(?)) and kinds & {bit} > 0"
            for bit, column in kinds.items()
        ]
        query = (
            f"select head, kind, name, count(*) as n from ({' union all '.join(parts)})"
            " group by head, kind, name"
            f" qualify row_number() over (partition by head, kind order by n desc, name) <= {most}"
            " order by head, kind, n desc, name"
        )
        with self.reading() as connection:
            return connection.execute(query, [list(heads)] * len(parts)).fetchall()

    def parts(self, head: str) -> list[tuple[str, int]]:
        """(logical digest, entries) of each part of a version, in order."""
        query = "select part, entries from parts where head = ? order by place"
        with self.reading() as connection:
            return connection.execute(query, [head]).fetchall()

    def forget(self, heads: Sequence[str]) -> None:
        """Drops versions, so that they are taken in anew."""
        with self.open(writing=True) as connection:
            connection.execute("begin")
            for table in ("versions", "parts", "changes"):
                connection.execute(f"delete from {table} where head in ?", [list(heads)])
            connection.execute("commit")

    def query(
        self, sql: str, tables: Mapping[str, pa.Table]
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """(column names, rows) of one SELECT by the user.

        `tables` are what the views need beside the index: `part_entries` has the columns of ENTRY
        and `part` (logical digest), the others have the policy's verdicts. Raises UsageError for a
        wrong query and for anything that would write, read files or reach the network.
        """
        with self._attached(tables, VIEWS) as connection:
            answer = _select(connection, sql, hint=f"tables: {', '.join(TABLES)}")
        columns = [_values(answer, place) for place in range(answer.num_columns)]
        return answer.column_names, list(zip(*columns, strict=True))

    @contextmanager
    def screening(self, tables: Mapping[str, pa.Table]) -> Iterator[Callable[[str], pa.Table]]:
        """A function that answers the queries of checks, over the views of `SCREENING_VIEWS` and
        the tables of `SCREENING_TALLIES`.

        `tables` are `part_entries`, as for `query`; `screened`, whose row has the digests `head`
        and `base`; `line`, the versions between, of which `later` says that their changes count;
        and what the checks need beside these.
        """
        with self._attached(tables, SCREENING_VIEWS) as connection:
            tallies = dict(SCREENING_TALLIES)

            def ask(sql: str) -> pa.Table:
                for name in [name for name in tallies if name in sql]:
                    connection.execute(f"create temp table {name} as {tallies.pop(name)}")
                return connection.sql(sql).to_arrow_table()

            with self._failures():
                yield ask

    @contextmanager
    def _attached(
        self, tables: Mapping[str, pa.Table], views: str
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to `tables`, `views`, and the index; it reaches nothing else."""
        with self.reading():
            pass  # makes the file, and shows early that it cannot be opened
        self._let_go()
        connection = duckdb.connect(config={"python_enable_replacements": False})
        with closing(connection), self._locked(writing=False):
            with self._failures():
                for name, table in tables.items():
                    connection.register(name, table)
                connection.execute(f"attach {_sql_text(str(self._path))} as index (read_only)")
                connection.execute(views)
                _shut_in(connection)
            yield connection


def select_ids(sql: str, entries: pa.Table) -> pa.ChunkedArray:
    """The ids of the `entries` (columns of ENTRY) that meet the condition `sql`, or that a SELECT
    from `entries` gives as its column `id`; asked in memory.

    Raises UsageError as `Index.query`, and for a SELECT that gives no ids.
    """
    hint = "a condition over the columns of `entries`, or a SELECT of `id` from it"
    if not sql.lstrip().lower().startswith(("select", "with", "from")):
        sql = f"select id from entries where ({sql}\n)"
    with closing(duckdb.connect(config={"python_enable_replacements": False})) as connection:
        connection.register("signed", entries)
        connection.execute(f"create view entries as select {ENTRY_COLUMNS} from signed")
        _shut_in(connection)
        table = _select(connection, sql, hint=hint)
    if "id" not in table.column_names:
        raise UsageError("the query gives no column id", hint=hint)
    ids: pa.ChunkedArray = table.column("id")
    if not pa.types.is_string(ids.type) or ids.null_count:
        raise UsageError("the query's column id does not hold ids alone", hint=hint)
    return ids


def _shut_in(connection: duckdb.DuckDBPyConnection) -> None:
    """From now on nothing outside the connection can be reached, nor this be undone."""
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _select(connection: duckdb.DuckDBPyConnection, sql: str, *, hint: str) -> pa.Table:
    check_utf8("the question", sql)
    try:
        if not _is_query(connection.extract_statements(sql)):
            raise UsageError("exactly one SELECT statement is allowed", hint=hint)
        connection.execute("begin transaction read only")
        return connection.sql(sql).to_arrow_table()
    except duckdb.Error as error:
        raise UsageError(f"the query failed: {_complaint(error)}", hint=hint) from None


def _is_query(statements: Sequence[duckdb.Statement]) -> bool:
    """Whether this is one SELECT, or one PIVOT without the list of its values.

    DuckDB runs such a PIVOT as several statements. Others of that type can write: the transaction
    is read-only.
    """
    if len(statements) != 1:
        return False
    try:
        kind = statements[0].type
    except ValueError:  # DuckDB has kinds of statements that its Python types lack
        return False
    return kind in {duckdb.StatementType.SELECT, duckdb.StatementType.MULTI}


def _values(table: pa.Table, place: int) -> list[Any]:
    """One column as Python's values, whose calendar is shorter than that of DuckDB."""
    try:
        values: list[Any] = table.column(place).to_pylist()
    except (ArithmeticError, ValueError) as error:
        raise UsageError(
            f"column {place + 1} of the answer, {quoted(table.column_names[place])}, holds what"
            f" Python has no value for: {quoted(str(error))}",
            hint="ask for it as text: CAST(… AS TEXT)",
        ) from None
    return values


def _complaint(error: duckdb.Error) -> str:
    """Without the place in the query, which DuckDB shows after a blank line, over several lines."""
    return str(error).split("\n\n")[0].replace("\n", " ")


def with_part(entries: pa.Table, part: str) -> pa.Table:
    """`entries` with a column that says of which part (logical digest) they are."""
    constant = pa.DictionaryArray.from_arrays(
        pa.nulls(entries.num_rows, pa.int32()).fill_null(0), pa.array([part])
    )
    # Dictionaries stay: DuckDB reads them, and most queries ask for few of the columns.
    return entries.append_column("part", constant)


def _layout(connection: duckdb.DuckDBPyConnection) -> int | None:
    """The number of the file's layout; None where it has none, being empty or cut short."""
    try:
        found = connection.execute("select number from layout").fetchall()
    except duckdb.CatalogException:
        return None
    return found[0][0] if found else None


def _create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    if _layout(connection) == _LAYOUT:
        return
    for (table,) in connection.execute("show tables").fetchall():
        connection.execute(f'drop table "{table}"')
    sides = {
        side: ", ".join(f"{side}_{name} {kind}" for name, kind in _SQL_TYPES.items())
        for side in ("old", "new")
    }
    connection.execute(_SCHEMA.format(**sides))
    connection.execute("insert into layout values (?)", [_LAYOUT])


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
