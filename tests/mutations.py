"""Every single field of a JSON document, changed: what generated attacks are made of."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

Where = tuple[str | int, ...]


def places(node: Any, at: Where = ()) -> Iterator[Where]:
    """Every field and item of a document, and at last the document itself."""
    children = enumerate(node) if isinstance(node, list) else ()
    for step, child in node.items() if isinstance(node, dict) else children:
        yield from places(child, (*at, step))
    yield at


def value_at(document: Any, at: Where) -> Any:
    for step in at:
        document = document[step]
    return document


def changed(document: Any, at: Where, value: Any) -> Any:
    """A copy of `document` with another value there; Ellipsis removes it."""
    if not at:
        return value
    document = copy.deepcopy(document)
    inside = value_at(document, at[:-1])
    if value is ...:
        del inside[at[-1]]
    else:
        inside[at[-1]] = value
    return document


def values(before: Any, *, every: int = 1) -> Iterator[Any]:
    """Other values for a field: of every kind, and near its own.

    Of a text every `every`-th character is changed, of a long one every thirteenth at most.
    """
    yield from (..., None, 0, True, "", [], {}, "x")
    if isinstance(before, dict):
        yield before | {"unknown": 1}
    elif isinstance(before, list):
        yield from (before + before, before[::-1], [*before, "x"], before[:-1], before[:1] + before)
    elif isinstance(before, int):
        yield from (before + 1, before - 1, -before, str(before), float(before))
    elif isinstance(before, str):
        yield from (before + "x", before + " ", before[:-1], before.swapcase())
        if before.isdecimal():
            yield from (str(int(before) + 1), str(int(before) - 1), f"0{before}", int(before))
        for place in range(0, len(before), every if len(before) < 200 else max(every, 13)):
            yield before[:place] + _other(before[place]) + before[place + 1 :]


def _other(character: str) -> str:
    """Another character of its kind, so that what is hexadecimal or a time mostly stays so."""
    if character.isdecimal():
        return str((int(character) + 1) % 10)
    first, second = "ab" if character.islower() else "AB"
    return second if character == first else first


def mutations(document: Any, *, every: int = 1) -> Iterator[tuple[Where, Any]]:
    """(where, the document changed there) for every field and item and each of its `values`.

    Every one of them differs from the document, if only in the type of a number.
    """
    before = json.dumps(document, sort_keys=True)
    for at in places(document):
        for value in values(value_at(document, at), every=every):
            if not at and value is ...:
                continue
            after = changed(document, at, value)
            if json.dumps(after, sort_keys=True) != before:
                yield at, after


def written(at: Where) -> str:
    """`parts.0.rows`"""
    return ".".join(map(str, at))
