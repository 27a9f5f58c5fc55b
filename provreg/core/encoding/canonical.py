"""JSON as provreg signs it (RFC 8785), and as it reads it: strict, bounded, our errors only."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from provreg.errors import FormatError

_DEPTH = 64
_LARGEST = 2**53 - 1
_PLAIN = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical(document: Any) -> bytes:
    """The RFC 8785 bytes of `document`.

    Raises FormatError for what canonical JSON cannot hold: integers beyond 2**53, NaN, lone
    surrogates.
    """
    try:
        if _is_plain(document):
            # Twelve times as fast, and every question parses heads with all their classes.
            return _PLAIN.encode(document).encode("utf-8")
        return _by_the_rfc(document)
    except (UnicodeError, RecursionError) as error:
        raise _not_representable(error) from None


def _by_the_rfc(document: Any) -> bytes:
    # Late: only fractions, and keys beyond ASCII, need it.
    import rfc8785

    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise _not_representable(error) from None


def _not_representable(error: Exception) -> FormatError:
    return FormatError(f"not representable as canonical JSON: {error}")


def format_number(value: float) -> str:
    """A finite number as RFC 8785 prints it, but for -0, which is another value than 0 here."""
    # Where Python prints the same digits: several times as fast.
    if value == 0 or 1e-4 <= abs(value) < 1e16:
        return repr(value).removesuffix(".0")
    return canonical(value).decode()


def _is_plain(document: Any) -> bool:
    """Whether Python's own JSON has the very bytes of RFC 8785: no fractions, no large integers,
    and only ASCII keys, for others are sorted by their UTF-16."""
    nodes = [document]
    for node in nodes:
        kind = type(node)
        if kind is dict:
            if not all(type(key) is str and key.isascii() for key in node):
                return False
            nodes += node.values()
        elif kind is list:
            nodes += node
        elif kind is int:
            if not -_LARGEST <= node <= _LARGEST:
                return False
        elif kind is not str and kind is not bool and node is not None:
            return False
    return True


def parse_json(data: bytes, *, what: str, limit: int) -> Any:
    """Parses `data`, at most `limit` bytes, refusing what two parsers could read differently.

    Duplicate keys, NaN and infinities, invalid UTF-8, lone surrogates and nesting deeper than 64
    raise FormatError; `what` names the document in the message.
    """
    if len(data) > limit:
        raise FormatError(f"{what} has {len(data)} bytes, more than the {limit} allowed")
    try:
        document = _STRICT.decode(data.decode("utf-8"))
        if b"\\u" in data:  # lone surrogates are only to be had by their numbers
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not valid JSON: {error}") from None
    # It has at most one level more than it has brackets: what stands inside the last ones.
    if data.count(b"{") + data.count(b"[") >= _DEPTH:
        _bound_depth(document, what)
    return document


def parse_canonical(data: bytes, *, what: str, limit: int) -> Any:
    """As `parse_json`, and refuses bytes that are not the canonical form of what they say."""
    document = parse_json(data, what=what, limit=limit)
    if canonical(document) != data:
        raise FormatError(f"{what} is not in canonical form (RFC 8785)")
    return document


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json`, as `object_pairs_hook`: raises ValueError for a key that stands twice."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def refuse_constant(name: str) -> NoReturn:
    """For `json`, as `parse_constant`: raises ValueError for NaN and infinities."""
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond the range of numbers")
    return number


_STRICT = json.JSONDecoder(
    object_pairs_hook=unique_keys, parse_constant=refuse_constant, parse_float=_finite
)


def _bound_depth(document: Any, what: str) -> None:
    level = [document]
    for _ in range(_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise FormatError(f"{what} is nested deeper than {_DEPTH}")
