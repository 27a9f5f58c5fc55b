"""What the second reader (`second_reader.py`) takes from docs/format/README.md, "Conventions"."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from blake3 import blake3


class Refused(Exception):  # noqa: N818
    """The registry breaks a rule of the format."""


def refuse_unless(holds: bool, why: str) -> None:
    if not holds:
        raise Refused(why)


def canonical(value: Any) -> bytes:
    """RFC 8785."""
    return _canonical(value).encode()


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_canonical(key)}:{_canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    if type(value) is int:
        refuse_unless(abs(value) <= 2**53 - 1, "a large integer")
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """As ECMAScript prints it: the fewest digits that are this float64."""
    digits, _, exponent = repr(value).partition("e")
    if value == 0:
        return "0"
    if exponent and not -7 < int(exponent) < 21:
        return f"{digits.removesuffix('.0')}e{int(exponent):+d}"
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def parse_json(data: bytes, limit: int) -> Any:
    refuse_unless(len(data) <= limit, "too long")
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_keys_once, parse_constant=_none, parse_float=_float
        )
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates
        refuse_unless(_depth(value) <= 64, "too deep")
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from None
    return value


def parse(data: bytes, limit: int) -> Any:
    value = parse_json(data, limit)
    refuse_unless(canonical(value) == data, "not canonical")
    return value


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    refuse_unless(len(dict(pairs)) == len(pairs), "a key twice")
    return dict(pairs)


def _none(name: str) -> Any:
    raise Refused(name)


def _float(written: str) -> float:
    refuse_unless(math.isfinite(float(written)), "beyond a double")
    return float(written)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 1


def digest(algorithm: str, data: bytes) -> str:
    made = blake3(data) if algorithm == "blake3" else hashlib.sha256(data)
    return f"{algorithm}:{made.hexdigest()}"


def raw(written: str) -> bytes:
    return bytes.fromhex(written.partition(":")[2])


def fetch(registry: Mapping[str, bytes], written: str, limit: int) -> bytes:
    algorithm, _, digits = written.partition(":")
    data = registry.get(f"objects/{digits[:2]}/{algorithm}-{digits}")
    if data is None:
        raise Refused(f"{written} is missing")
    refuse_unless(len(data) <= limit, "longer than allowed")
    refuse_unless(digest(algorithm, data) == written, f"{written} is damaged")
    return data
