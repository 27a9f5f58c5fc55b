"""What people and machines see: tables and lines, one JSON document, progress on a terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from provreg.cli.ui.table import NOTHING, lay_out, records
from provreg.core.encoding.text import UNSEEN, printable


class Output:
    """Where one command prints. With `json` it prints one document at the end and nothing else."""

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json = json
        self.verbose = verbose and not json
        self._quiet = quiet
        self._warnings: list[str] = []

    def line(self, text: str = "") -> None:
        """A line of the result."""
        if not self.json:
            print(_printable(text))

    def note(self, text: str) -> None:
        """A line that helps a person and is no result: what was left out, what to do next."""
        if not self.json and not self._quiet:
            print(_printable(text), file=sys.stderr)

    def warn(self, text: str) -> None:
        """A warning: on standard error, or in the JSON document's `warnings`."""
        self._warnings.append(text)
        if not self.json:
            print(f"warning: {_printable(text)}", file=sys.stderr)

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
        heading, lines = lay_out(names, shown, width=_terminal_width(), whole=whole)
        for line in heading:
            print(_bold(line))
        for line in lines:
            print(line)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Names and values, a line each; without those that have no value."""
        if not self.json:
            pairs = [(name, _cell(value)) for name, value in facts.items() if value is not None]
            for line in records(pairs):
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
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
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


def _printable(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _bold(line: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in {None, "", "dumb"}
    return line if plain or not sys.stdout.isatty() else f"\x1b[1m{line}\x1b[0m"
