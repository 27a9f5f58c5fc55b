"""What a table's columns are for, and how that is written into the head and read back."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.names import twins_in_form_c
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted, quoted_ascii
from provreg.core.rows.column import (
    BOOL,
    DATE,
    FILE,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT,
    MAX_FIELDS,
    MAX_NAME,
    TEXT,
    TIMESTAMP,
    TIMESTAMP_UTC,
    Column,
    LogicalType,
    columns_from_json,
    columns_to_json,
    has_files,
)
from provreg.core.rows.files import as_named, file_paths, text_paths, with_files
from provreg.errors import FormatError, InputError, UsageError
from provreg.readers.api import override
from provreg.readers.files.names import folded
from provreg.readers.files.walk import folder_prefix
from provreg.readers.tables.times import SPLITS, boundaries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provreg.readers.api import ReadOptions

DELIMITED = ("csv", "tsv")
READERS = (*DELIMITED, "json", "jsonl", "parquet")
READER_VERSION = 1
_MAX_NULL_WORDS = 1000
_WHAT = "head.reading"

_NAMES = (TEXT, INT)
# The roles, by the name of their option, and the types their columns may have.
ROLES: dict[str, tuple[LogicalType, ...]] = {
    "id": (*_NAMES, FILE),
    "label": (TEXT, INT, BOOL, FLOAT16, FLOAT32, FLOAT64),
    "split": _NAMES,
    "source": _NAMES,
    "labeler": _NAMES,
    "labeled_at": (TEXT, TIMESTAMP, TIMESTAMP_UTC),
}
TIMES = (TEXT, TIMESTAMP, TIMESTAMP_UTC, DATE)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read a table.

    The first six are column names, None where no column has that role. `types` declares column
    types (CSV columns are text, others what the file or the values say). `null_words` are the
    unquoted CSV fields that mean null. `delimiter` is CSV's, None for that of the file's kind.
    Without `quoting` a quote in CSV is a character like others.
    `time` is the column that says when a row is; it is part of the id and stays in the payload.
    `split_at` are the moments between splits (`times.boundaries`). `columns` is the schema of all
    columns, those with roles too: of the dataset's first version, or None when this is the first.
    `file_columns` are then the columns whose texts name files, as `column` or `column.field`.
    `files_root` is the folder that these names are relative to, from the folder of the table.
    `text_columns` are columns whose texts may be names of files and are only text. `prefix` comes
    before ids that name files, in a batch of a larger folder; no head has it. `id_prefix` is that
    and the folder of the table's file, as far as it was not named.
    `excluded` are columns that files may have, and that are not read. `added` are columns that
    came after the first version: a file that lacks one is read as if it held null. `new_columns`
    are those that this version adds, with their types where they are declared.
    """

    id: str | None = None
    label: str | None = None
    split: str | None = None
    source: str | None = None
    labeler: str | None = None
    labeled_at: str | None = None
    types: Mapping[str, LogicalType] = field(default_factory=dict)
    null_words: tuple[str, ...] = ("",)
    delimiter: str | None = None
    quoting: bool = True
    time: str | None = None
    split_at: tuple[str, ...] = ()
    columns: tuple[Column, ...] | None = None
    file_columns: tuple[str, ...] = ()
    files_root: str = ""
    text_columns: tuple[str, ...] = ()
    prefix: str = ""
    id_prefix: str = ""
    excluded: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    new_columns: Mapping[str, LogicalType | None] = field(default_factory=dict)

    @property
    def has_files(self) -> bool:
        """Whether rows name files, whose bytes belong to them."""
        return any(has_files(column.type) for column in self.columns or ())

    def columns_of_files(self) -> tuple[str, ...]:
        """The columns that name files, as `column` or `column.field`."""
        return tuple(
            ".".join((column.name, *path))
            for column in self.columns or ()
            for path in file_paths(column.type)
        )

    def as_stored(self) -> TableOptions:
        """These options for reading the table alone: names of files are text."""
        if not self.has_files:
            return self
        columns = tuple(Column(one.name, as_named(one.type)) for one in self.columns or ())
        return replace(self, columns=columns)

    @property
    def has_ids(self) -> bool:
        """Whether rows say who they are; else their content does."""
        return self.id is not None or self.time is not None

    def roles(self) -> dict[str, str]:
        """Role to column name, of the roles that have one."""
        named = {role: getattr(self, role) for role in ROLES}
        return {role: name for role, name in named.items() if name is not None}

    def payload_columns(self) -> tuple[Column, ...]:
        """The columns that are hashed: those without a role, and files that are named by the id.

        `columns` must be known.
        """
        role_columns = set(self.roles().values())
        return tuple(
            column
            for column in self.columns or ()
            if column.name not in role_columns or column.type == FILE
        )


def override_options(options: ReadOptions, old: TableOptions) -> TableOptions:
    """What was said, over `old`. Raises UsageError."""
    _check_new_columns(options, old)
    if old.columns is not None and options.types:
        raise UsageError(
            "the types of columns are fixed by the first version",
            hint="omit --column, or start a new dataset with another --name",
        )
    for name, value in (("label", options.label), ("split", options.split)):
        if value == "dir":
            raise UsageError(f"--{name} dir is for folders of files: name a column, or none")
    if any(has_files(logical) for logical in options.types.values()):
        raise UsageError("--column declares no files", hint="name the column with --file-column")
    _check_inherited_files(options, old)
    null_words, delimiter = options.null_words, options.delimiter
    time = override(options.time, old.time)
    at = boundaries(options.split_at) if options.split_at else () if options.split else old.split_at
    split = None if options.split_at else override(options.split, old.split)
    if at and time is None:
        raise UsageError("splits by time need the column of times", hint="name it with --time")
    if options.split_at and options.split not in {None, "none"}:
        raise UsageError("--split and --split-at are two ways to say the same: give one")
    return TableOptions(
        id=override(options.id, old.id),
        label=override(options.label, old.label),
        split=split,
        source=override(options.source_column, old.source),
        labeler=override(options.labeler_column, old.labeler),
        labeled_at=override(options.labeled_at_column, old.labeled_at),
        types=options.types,
        null_words=old.null_words if null_words is None else null_words,
        delimiter=old.delimiter if delimiter is None else delimiter,
        quoting=old.quoting if options.quoting is None else _quoting(options.quoting),
        time=time,
        split_at=at,
        columns=old.columns,
        file_columns=options.file_columns,
        files_root=old.files_root if options.files_root is None else _root(options.files_root),
        text_columns=tuple(sorted({*old.text_columns, *options.text_columns})),
        prefix="" if options.prefix is None else folder_prefix(options.prefix),
        excluded=tuple(
            sorted({*old.excluded, *options.columns_excluded} - options.columns_added.keys())
        ),
        added=old.added,
        new_columns=options.columns_added,
    )


def _check_new_columns(options: ReadOptions, old: TableOptions) -> None:
    """UsageError for columns that cannot be excluded or added."""
    signed = {column.name for column in old.columns or ()}
    for name in options.columns_excluded:
        if name in options.columns_added:
            raise UsageError(f"--exclude-column and --column-added both name {quoted(name)}")
        if name in signed:
            raise UsageError(
                f"the column {quoted(name)} is signed since an earlier version",
                hint="start a new dataset with another --name to leave it out",
            )
    if options.columns_added and old.columns is None:
        raise UsageError(
            "--column-added is for a later version", hint="a first version takes all columns"
        )
    for name, logical in options.columns_added.items():
        if name in signed:
            raise UsageError(f"the column {quoted(name)} is signed already", hint="omit it")
        if logical is not None and has_files(logical):
            raise UsageError("--column-added declares no files")
    roles = {
        "--id": override(options.id, old.id),
        "--label": override(options.label, old.label),
        "--split": override(options.split, old.split),
        "--source-column": override(options.source_column, old.source),
        "--labeler-column": override(options.labeler_column, old.labeler),
        "--labeled-at-column": override(options.labeled_at_column, old.labeled_at),
        "--time": override(options.time, old.time),
    }
    for option, role in roles.items():
        if role is not None and role in options.columns_excluded:
            raise UsageError(f"--exclude-column and {option} both name {quoted(role)}")


def with_new_columns(
    options: TableOptions, types: Mapping[str, LogicalType | None]
) -> TableOptions:
    """`options` with their `new_columns`: of the declared types, else of those that files have.

    `types` are those of the files, None for a column that no file has. Raises InputError.
    """
    columns = list(options.columns or ())
    for name, declared in options.new_columns.items():
        found = types[name]
        if found is None and declared is None:
            raise InputError(
                f"no file has the column {quoted(name)} that --column-added names",
                hint="check its name, or declare its type: --column-added NAME:TYPE",
            )
        columns.append(Column(name, declared or found or TEXT))
    added = tuple(sorted({*options.added, *options.new_columns}))
    return replace(options, columns=tuple(columns), added=added, new_columns={})


def check_root(options: TableOptions) -> None:
    """UsageError for a folder of files where no column names files, and for a prefix where the ids
    are not names of files."""
    types = {column.name: column.type for column in options.columns or ()}
    if options.prefix and types.get(options.id or "") != FILE:
        raise UsageError(
            "--prefix is for ids that are paths of files",
            hint="make the column of ids unique in all batches",
        )
    if options.files_root and not options.has_files:
        raise UsageError("--files-root is for columns of files", hint="name them: --file-column")


def _check_inherited_files(options: ReadOptions, old: TableOptions) -> None:
    """UsageError for columns of files other than those of the first version."""
    if old.columns is None or not (options.file_columns or options.files_root is not None):
        return
    types = {column.name: column.type for column in old.columns}
    for name in options.file_columns:
        column, path = _column_at(name, types)
        if column is None or with_files(types[column], path) != types[column]:
            raise UsageError(
                f"in this dataset {quoted(name)} is text: the first version determines the columns"
                " of files",
                hint="start a new dataset with another --name",
            )
    if options.files_root is not None and _root(options.files_root) != old.files_root:
        raise UsageError(
            f"names of files are relative to {quoted(old.files_root or '.')} since the first"
            " version",
            hint="omit --files-root, or start a new dataset with another --name",
        )


def _root(folder: str) -> str:
    """`folder`, relative to that of a table, in its one form: parents, then folders.

    Raises UsageError.
    """
    root = posixpath.normpath(folder)
    if folder == "" or root.startswith("/") or "\\" in root or not root.isprintable():
        raise UsageError(
            f"{quoted(folder)} is not a folder relative to the table's own",
            hint="for example --files-root .. or --files-root ../images",
        )
    return "" if root == "." else root


def _column_at(name: str, types: Mapping[str, LogicalType]) -> tuple[str | None, tuple[str, ...]]:
    """The column and the path of fields that `name` stands for: a column, or `column.field`."""
    if name in types:
        return name, ()
    column, *path = name.split(".")
    return (column if path and column in types else None), tuple(path)


def _with_files(options: TableOptions, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """`columns` with the type `file` where `options.file_columns` says so. Raises InputError."""
    types = {column.name: column.type for column in columns}
    for name in (*options.file_columns, *options.text_columns):
        column, path = _column_at(name, types)
        found = None if column is None else with_files(types[column], path)
        if column is None or found is None:
            texts = (".".join((at, *path)) for at in types for path in text_paths(types[at]))
            raise InputError(
                f"there is no column of names {quoted(name)}",
                hint="columns of text: " + ", ".join(quoted(text) for text in list(texts)[:20]),
            )
        if name in options.file_columns:
            types[column] = found
    return tuple(Column(name, logical) for name, logical in types.items())


def with_schema(options: TableOptions, columns: tuple[Column, ...]) -> TableOptions:
    """`options` for a table of `columns`.

    Raises InputError when a role's or a declared column is not there or has a type that the role
    cannot have, and when no column is left to be the payload.
    """
    columns = _with_files(options, columns)
    types = {column.name: column.type for column in columns}
    times = [] if options.time is None else [options.time]
    for name in (*options.roles().values(), *options.types, *times):
        if name not in types:
            raise InputError(
                f"there is no column {quoted(name)}",
                hint="the columns are: " + ", ".join(quoted(name) for name in list(types)[:20]),
            )
    for role, name in options.roles().items():
        if types[name] not in ROLES[role]:
            raise InputError(f"the column {quoted(name)} has a type that no {role} can have")
    if times and types[times[0]] not in TIMES:
        raise InputError(
            f"the column {quoted(times[0])} has a type that no time can have",
            hint="times are timestamps, dates, or text like 2026-01-31T12:00:00Z",
        )
    if options.time in options.roles().values():
        raise InputError(f"the column {quoted(times[0])} is the time, and cannot be more")
    for name, logical in options.types.items():
        if types[name] != logical:
            raise InputError(
                f"the column {quoted(name)} was declared with another type than it has",
                hint="types are fixed by the first version, and by files that carry their own",
            )
    _check_alike([column.name for column in columns], {*options.roles().values(), *times})
    settled = replace(options, columns=columns, file_columns=())
    if not settled.payload_columns():
        raise InputError("every column is an id, label or origin: nothing is left to be the sample")
    return settled


def _check_alike(names: list[str], roles: set[str]) -> None:
    """InputError for two columns that look the same, and for one that a program which ignores case
    takes for one of `roles`."""
    alike = twins_in_form_c(names)
    told_apart = {folded(name): name for name in roles}
    twins = ((told_apart.get(folded(name), name), name) for name in names)
    alike = alike or next((two for two in twins if two[0] != two[1]), None)
    if alike is not None:
        raise InputError(
            f"the columns {quoted_ascii(alike[0])} and {quoted_ascii(alike[1])} differ only in case"
            " or composition: other programs take one for the other",
            hint="rename or drop one of them",
        )


def check_schema(options: TableOptions) -> None:
    """Raises InputError for columns that no head can hold: too many, too deep, too long a name."""
    try:
        columns_from_json(columns_to_json(options.columns or ()), "the table's schema")
    except FormatError as error:
        raise InputError(
            error.message,
            hint="where keys are data, write a list of pairs, or declare the type json",
        ) from None


def _quoting(quoting: str) -> bool:
    if quoting not in ("standard", "none"):
        raise UsageError(f"{quoted(quoting)} is not a kind of quoting", hint="use standard or none")
    return quoting == "standard"


def check_delimiter(delimiter: str) -> str:
    """`delimiter`, or UsageError: one ASCII character that has no other meaning in CSV."""
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise UsageError(f"{quoted(delimiter)} cannot separate columns", hint="use one character")
    return delimiter


def reading_of(reader: str, options: TableOptions) -> dict[str, Any]:
    """How the table was read, for the head; `options.columns` must be known."""
    reading = {
        "reader": reader,
        "reader_version": READER_VERSION,
        "columns": columns_to_json(options.columns or ()),
        **{role: getattr(options, role) for role in ROLES},
        "null_words": list(options.null_words),
        "delimiter": options.delimiter,
        **({} if options.quoting else {"quoting": "none"}),
    }
    # As in the first heads where rows have no time.
    if options.time is not None:
        reading |= {"time": options.time, "split_at": list(options.split_at)}
    if options.files_root:
        reading["files_root"] = options.files_root
    for name, columns in (
        ("text_columns", options.text_columns),
        ("columns_excluded", options.excluded),
        ("columns_added", options.added),
    ):
        if columns:
            reading[name] = list(columns)
    return reading


def options_from_reading(reading: Any) -> TableOptions:
    """The strict inverse of `reading_of`. Raises FormatError."""
    fields = Fields(reading, _WHAT)
    if (reader := fields.text("reader")) not in READERS:
        raise fields.wrong("reader", "is not a reader of tables")
    if fields.integer("reader_version") != READER_VERSION:
        raise fields.wrong("reader_version", f"is not {READER_VERSION}: a newer provreg is needed")
    columns = columns_from_json(fields.raw("columns"), f"{_WHAT}.columns")
    roles: dict[str, Any] = {role: fields.optional_text(role) for role in ROLES}
    null_words = fields.texts("null_words", limit=_MAX_NULL_WORDS)
    delimiter = fields.optional_text("delimiter", limit=1)
    quoting = not fields.has("quoting")
    if not quoting and fields.text("quoting", pattern="none") and reader not in DELIMITED:
        raise fields.wrong("quoting", f"means nothing in {reader}")
    time: str | None = None
    at: tuple[str, ...] = ()
    if fields.has("time"):
        time, at = fields.text("time"), fields.texts("split_at", limit=max(SPLITS))
    has_root = fields.has("files_root")
    root = fields.text("files_root", limit=MAX_NAME) if has_root else ""
    texts, excluded, added = (
        _names(fields, name) for name in ("text_columns", "columns_excluded", "columns_added")
    )
    fields.done()
    known = {column.name for column in columns}
    if known & set(excluded) or set(added) - known:
        raise FormatError(f"{_WHAT}: excludes a column of the schema, or adds none of it")
    try:
        if has_root and _root(root) != (root or None):
            raise UsageError("files_root is not in its canonical form")
        if at and (boundaries(at) != at or roles["split"] is not None):
            raise UsageError("split_at is not in its canonical form, or beside a split column")
        if delimiter is not None:
            check_delimiter(delimiter)
        options = TableOptions(
            **roles,
            null_words=null_words,
            delimiter=delimiter,
            quoting=quoting,
            time=time,
            split_at=at,
            files_root=root,
            text_columns=texts,
            excluded=excluded,
            added=added,
        )
        settled = with_schema(options, columns)
        check_root(settled)
    except (InputError, UsageError) as error:
        raise FormatError(f"{_WHAT}: {error.message}") from None
    return settled


def _names(fields: Fields, name: str) -> tuple[str, ...]:
    """A list of column names, ascending; empty where there is none. Raises FormatError."""
    if not fields.has(name):
        return ()
    names = fields.texts(name, limit=MAX_FIELDS)
    if not names or list(names) != sorted(set(names)):
        raise fields.wrong(name, "is empty, or not ascending")
    return names
