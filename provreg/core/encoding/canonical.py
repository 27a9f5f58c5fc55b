"""Canonical JSON (RFC 8785), and a strict parser of JSON with bounds."""

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

    Raises FormatError for values that canonical JSON cannot hold: integers beyond 2**53, NaN, lone
    surrogates.
    """
    try:
        if _is_plain(document):
            # 12x faster, and every command parses heads with all their classes.
            return _PLAIN.encode(document).encode("utf-8")
        return _rfc8785_bytes(document)
    except (UnicodeError, RecursionError) as error:
        raise _not_representable(error) from None


def _rfc8785_bytes(document: Any) -> bytes:
    # Imported late: only fractions and non-ASCII keys need it.
    import rfc8785

    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise _not_representable(error) from None


def _not_representable(error: Exception) -> FormatError:
    return FormatError(f"not representable as canonical JSON: {error}")


def format_number(value: float) -> str:
    """A finite number as in RFC 8785, except that -0 is not written as 0."""
    # In this range Python prints the same digits, several times faster.
    if value == 0 or 1e-4 <= abs(value) < 1e16:
        return repr(value).removesuffix(".0")
    return canonical(value).decode()


def _is_plain(document: Any) -> bool:
    """Whether Python's own JSON gives the bytes of RFC 8785: no fractions, no large integers, and
    only ASCII keys, because RFC 8785 sorts keys by UTF-16."""
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
    """Parses `data`, at most `limit` bytes. Refuses input that two parsers could read differently.

    Raises FormatError for duplicate keys, NaN, infinities, invalid UTF-8, lone surrogates and
    nesting deeper than 64; `what` names the document in the message.
    """
    if len(data) > limit:
        raise FormatError(f"{what} has {len(data)} bytes, at most {limit} are allowed")
    try:
        document = _STRICT.decode(data.decode("utf-8"))
        if b"\\u" in data:  # only escapes can be lone surrogates
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not valid JSON: {error}") from None
    # The depth is at most the number of brackets plus one, so most documents need no walk.
    if data.count(b"{") + data.count(b"[") >= _DEPTH:
        _bound_depth(document, what)
    return document


def parse_canonical(data: bytes, *, what: str, limit: int) -> Any:
    """As `parse_json`; also refuses bytes that are not in canonical form."""
    document = parse_json(data, what=what, limit=limit)
    if canonical(document) != data:
        raise FormatError(f"{what} is not in canonical form (RFC 8785)")
    return document


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The `object_pairs_hook` of a JSON decoder: raises ValueError for duplicate keys."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("duplicate key in object")
    return document


def refuse_constant(name: str) -> NoReturn:
    """The `parse_constant` of a JSON decoder: raises ValueError for NaN and infinities."""
    raise ValueError(f"{name} is not allowed in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number out of range: {text}")
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
