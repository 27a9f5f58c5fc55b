"""Results that show themselves: in a line at a prompt, as a table in a notebook.

Names and labels in them are outside text: quoted in the one, escaped in the other. Both are
bounded, however many results there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Protocol, TypeVar

from provreg.core.encoding.text import printable


class Summarized(Protocol):
    """A result with a summary: values by heading, the same headings for all of a kind."""

    @property
    def summary(self) -> Mapping[str, object]: ...


Item = TypeVar("Item", bound=Summarized)

_MOST_ITEMS = 3
_MOST_ROWS = 50
_MOST_CHARACTERS = 200


class Listing(list[Item]):
    """A list whose repr has the first items, and which notebooks show as a table."""

    def __repr__(self) -> str:
        shown = [repr(item) for item in self[:_MOST_ITEMS]]
        if len(self) > len(shown):
            shown.append(f"… {len(self) - len(shown):,} more")
        return f"[{', '.join(shown)}]"

    def _repr_html_(self) -> str:
        rows = [item.summary for item in self[:_MOST_ROWS]]
        columns = list(rows[0]) if rows else []
        return html_table(columns, (list(row.values()) for row in rows), len(self))


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]], count: int) -> str:
    """The first of `count` rows as an HTML table; long cells are truncated."""
    heading = "".join(f"<th>{_html(column)}</th>" for column in columns)
    shown = [
        "<tr>" + "".join(f"<td>{_html(cell)}</td>" for cell in row) + "</tr>"
        for row, _ in zip(rows, range(_MOST_ROWS), strict=False)
    ]
    more = f"<p>… {count - len(shown):,} more</p>" if count > len(shown) else ""
    body = "".join(shown)
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>{more}"


def _html(cell: object) -> str:
    if cell is None:
        return ""
    text = f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
    if len(text) > _MOST_CHARACTERS:
        text = text[:_MOST_CHARACTERS] + "…"
    return escape(printable(text))
