"""What people and machines see: tables and lines, one JSON document, progress on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from provreg.core.text import printable

# A table in a pipe is read by programs that cut columns: it is never wrapped.
_PIPE_WIDTH = 400


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
            print(_shown(text))

    def note(self, text: str) -> None:
        """A line that helps a person and is no result: what was left out, what to do next."""
        if not self.json and not self._quiet:
            print(_shown(text), file=sys.stderr)

    def warn(self, text: str) -> None:
        """A warning: on standard error, and in the JSON document's `warnings`."""
        self._warnings.append(text)
        if not self.json:
            print(f"warning: {_shown(text)}", file=sys.stderr)

    def document(self, document: dict[str, Any]) -> None:
        """The result for machines."""
        if self.json:
            if self._warnings:
                document = document | {"warnings": self._warnings}
            print(json.dumps(document, ensure_ascii=False))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table with a heading; numbers stand to the right."""
        if self.json:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        cells = [[_cell(value) for value in row] for row in rows]
        numbers = [
            bool(cells) and all(_is_number(row[place]) for row in cells)
            for place in range(len(columns))
        ]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, number in zip(columns, numbers, strict=True):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        Console(width=width, highlight=False).print(table)

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
        )
        with bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _shown(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-~").replace(",", "").isdigit() or cell == "-"
