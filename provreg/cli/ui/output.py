"""What people and machines see: tables and lines, one JSON document, progress on a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TextIO

from provreg.cli.ui.table import NOTHING, fold_text, lay_out, records
from provreg.core.encoding.text import UNSEEN, printable

# In a field of CSV, these need quotes; blanks at its ends get them for other readers' sake.
_CSV_SPECIAL = re.compile(r'[",\r\n]|^\s|\s$')
_BATCH = 4096


class Output:
    """Where one command prints. With `json` it prints one document at the end and nothing else."""

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json = json
        self.verbose = verbose and not json
        self._quiet = quiet
        self._warnings: list[str] = []

    def line(self, text: str = "") -> None:
        """A line of the result, folded to the terminal's width."""
        if not self.json:
            print(folded(_printable(text), sys.stdout))

    def value(self, text: str) -> None:
        """A line of the result that is a value, such as an id: never folded."""
        if not self.json:
            print(_printable(text))

    def note(self, text: str) -> None:
        """A line that helps a person and is no result: what was left out, what to do next."""
        if not self.json and not self._quiet:
            print(folded(_printable(text), sys.stderr), file=sys.stderr)

    def warn(self, text: str) -> None:
        """A warning: on standard error, or in the JSON document's `warnings`."""
        self._warnings.append(text)
        if not self.json:
            print(folded(f"warning: {_printable(text)}", sys.stderr), file=sys.stderr)

    def document(self, document: Mapping[str, Any]) -> None:
        """The result for machines."""
        if self.json:
            warnings = {"warnings": self._warnings} if self._warnings else {}
            print(json_text({**document, **warnings}))

    def stream(self, document: Mapping[str, Any], name: str, items: Iterable[Any]) -> None:
        """The result for machines: `document` with an array `name`, an item a line.

        Items are written as they come, so that a million take no more memory than one. The document
        is not complete, and no JSON, if making an item fails; the exit code then says so.
        """
        if not self.json:
            return
        head = json_text(document).removesuffix("}")
        print(f"{head}{', ' if document else ''}{json_text(name)}: [", end="")
        before = "\n"
        for item in items:
            print(before + json_text(item), end="")
            before = ",\n"
        warnings = f', "warnings": {json_text(self._warnings)}' if self._warnings else ""
        print(f"]{warnings}}}")

    def lines(self, document: Mapping[str, Any], items: Iterable[Any]) -> None:
        """The result for machines as JSON Lines: `document`, then an item a line."""
        self.document(document)
        for item in items:
            print(json_text(item))

    def values(self, texts: Iterable[str]) -> None:
        """As `value`, for very many."""
        if not self.json:
            for batch in _batches(texts):
                print("\n".join(map(_printable, batch)))

    def null_terminated(self, texts: Iterable[str]) -> None:
        """The result for programs: each text as it is, in UTF-8 and followed by a NUL byte."""
        sys.stdout.flush()
        for batch in _batches(texts):
            sys.stdout.buffer.write("".join(f"{text}\0" for text in batch).encode())
        sys.stdout.buffer.flush()

    def objects(self, items: Iterable[Any]) -> None:
        """The result for machines as JSON Lines, an item a line and nothing else."""
        for item in items:
            print(json_text(item))

    def csv(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """The result for machines as CSV (RFC 4180), exact and in UTF-8.

        Null is an empty field, an empty text is quoted; lists and objects are JSON. On a terminal
        control and hidden characters are escaped.
        """
        lines = (",".join(map(_csv_field, row)) for row in chain([columns], rows))
        if sys.stdout.isatty():
            for line in lines:
                print(_printable(line))
            return
        sys.stdout.flush()
        for line in lines:
            sys.stdout.buffer.write(line.encode() + b"\r\n")
        sys.stdout.buffer.flush()

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        whole: Collection[str] = ("id",),
    ) -> None:
        """A table with a heading; numbers stand to the right, the columns `whole` are never folded.

        In a pipe it is as wide as it is: what reads it cuts columns.
        """
        if self.json:
            return
        shown = [[_cell(value) for value in row] for row in rows]
        names = [printable(column) for column in columns]
        heading, lines = lay_out(names, shown, width=terminal_width(sys.stdout), whole=whole)
        for line in heading:
            print(_bold(line))
        for line in lines:
            print(line)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Names and values, a line each; without those that have no value."""
        if not self.json:
            pairs = [(name, _cell(value)) for name, value in facts.items() if value is not None]
            for line in records(pairs, width=terminal_width(sys.stdout), whole=("id",)):
                print(line)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """A progress bar on a terminal, None elsewhere; it is called with (done, total)."""
        if self.json or self._quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Count(ProgressColumn):
            """How many are done, and of how many, if that is known."""

            def render(self, task: Task) -> Text:
                of = "" if task.total is None else f" of {task.total:,.0f}"
                return Text(f"{task.completed:,.0f}{of}")

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            Count(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            # Its thread would keep worker processes from being forked.
            auto_refresh=False,
        )
        with bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(
                task, completed=done, total=total or None, refresh=True
            )


def json_text(value: Any) -> str:
    """`value` as JSON that cannot act on a terminal, in the encoding of standard output."""
    ascii_only = (sys.stdout.encoding or "").lower() not in {"utf-8", "utf8"}
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return UNSEEN.sub(lambda found: _escaped(found.group()), text)


def _escaped(character: str) -> str:
    """`character` as JSON writes it with escapes alone."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    if text and not _CSV_SPECIAL.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _printable(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """`texts` in lists that are written at once: a system call for each takes longer than it."""
    left = iter(texts)
    while batch := list(islice(left, _BATCH)):
        yield batch


def folded(text: str, stream: TextIO) -> str:
    """Each line of `text` in lines that fit the terminal behind `stream`, broken between words."""
    width = terminal_width(stream)
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in fold_text(line, width))


def terminal_width(stream: TextIO) -> int | None:
    """The width of the terminal behind `stream`, None if it is no terminal."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _bold(line: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in {None, "", "dumb"}
    return line if plain or not sys.stdout.isatty() else f"\x1b[1m{line}\x1b[0m"
