"""Strict reading of untrusted JSON or TOML: exact names, exact types, bounded sizes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from provreg.core.encoding.digest import parse_digest
from provreg.core.encoding.text import quoted
from provreg.core.encoding.times import format_time
from provreg.errors import FormatError

T = TypeVar("T")
_TIME_FORM = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
MAX_INTEGER = 2**53 - 1
_MAX_TEXT = 1 << 20


class Fields:
    """An object of a document. Each field is read once; `done` refuses unread fields.

    All methods raise FormatError that names the document and the field.
    """

    def __init__(self, document: Any, what: str) -> None:
        if not isinstance(document, Mapping):
            raise FormatError(f"{what} is not an object")
        self._left = dict(document)
        self._what = what

    def text(self, name: str, *, pattern: str | None = None, limit: int = _MAX_TEXT) -> str:
        value = self._take(name)
        if not isinstance(value, str):
            raise self.wrong(name, "is not a text")
        if len(value.encode()) > limit:
            raise self.wrong(name, f"is longer than {limit} bytes")
        if pattern is not None and re.fullmatch(pattern, value) is None:
            raise self.wrong(name, f"is {quoted(value)}, expected the form {pattern}")
        return value

    def binary(self, name: str) -> bytes:
        """Canonical base64 only, and not empty: parsers can read any other spelling differently."""
        return self._decoded(name, self.text(name))

    def binaries(self, name: str, *, limit: int) -> tuple[bytes, ...]:
        """An array of at most `limit` such values."""
        return tuple(self._decoded(name, text) for text in self.texts(name, limit=limit))

    def optional_text(self, name: str, *, limit: int = _MAX_TEXT) -> str | None:
        return None if self._null(name) else self.text(name, limit=limit)

    def integer(self, name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(name, "is not an integer")
        if not minimum <= value <= maximum:
            raise self.wrong(name, f"is {value}, expected {minimum} to {maximum}")
        return value

    def digest(self, name: str, algorithm: str) -> str:
        value = self.text(name, limit=80)
        if parse_digest(value)[0] != algorithm:
            raise self.wrong(name, f"is not a {algorithm} digest")
        return value

    def optional_digest(self, name: str, algorithm: str) -> str | None:
        return None if self._null(name) else self.digest(name, algorithm)

    def time(self, name: str) -> datetime:
        """A time as `format_time` writes it."""
        text = self.text(name, pattern=_TIME_FORM)
        try:
            # strptime would take as long to import as a signature to verify.
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        # Newer Pythons read 24:00 as the next day.
        if moment is None or format_time(moment) != text:
            raise self.wrong(name, f"is not a valid time: {quoted(text)}")
        return moment

    def object(self, name: str) -> Fields:
        return Fields(self._take(name), f"{self._what}.{name}")

    def optional_object(self, name: str) -> Fields | None:
        return None if self._null(name) else self.object(name)

    def items(
        self, name: str, read: Callable[[Fields], T], *, limit: int, item_name: str | None = None
    ) -> tuple[T, ...]:
        """An array of objects, each read by `read`, which must read all fields.

        `item_name` names them for people, who count from 1: `publish rule 1`.
        """
        values = []
        for place, item in enumerate(self._array(name, limit)):
            what = f"{self._what}.{name}[{place}]"
            if item_name is not None:
                what = f"{self._what}, {item_name} {place + 1}"
            fields = Fields(item, what)
            values.append(read(fields))
            fields.done()
        return tuple(values)

    def texts(self, name: str, *, limit: int, size: int = _MAX_TEXT) -> tuple[str, ...]:
        """An array of at most `limit` texts, of at most `size` bytes each."""
        values = self._array(name, limit)
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(name, "is not an array of texts")
        if any(len(value) * 4 > size and len(value.encode()) > size for value in values):
            raise self.wrong(name, f"has a text longer than {size} bytes")
        return tuple(values)

    def texts_by_name(self, *, limit: int, size: int) -> dict[str, str]:
        """All unread fields, at most `limit`: texts, of at most `size` bytes with their names."""
        if len(self._left) > limit:
            raise FormatError(f"{self._what} has more than {limit} fields")
        texts = dict(self._left)
        for name, value in texts.items():
            if not isinstance(value, str):
                raise self.wrong(name, "is not a text")
            if len(name.encode()) + len(value.encode()) > size:
                raise self.wrong(name, f"is longer than {size} bytes with its name")
        self._left.clear()
        return texts

    def raw(self, name: str) -> Any:
        """The unchecked value."""
        return self._take(name)

    def has(self, name: str) -> bool:
        return name in self._left

    def done(self) -> None:
        """Refuses unread fields: a newer writer's field can change the meaning of the others."""
        if self._left:
            name = quoted(min(self._left, key=str))
            raise FormatError(
                f"{self._what} has an unknown field {name}",
                hint="a newer provreg may have written it: update provreg",
            )

    def wrong(self, name: str, complaint: str) -> FormatError:
        return FormatError(f"{self._what}: {name} {complaint}")

    def _decoded(self, name: str, text: str) -> bytes:
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise self.wrong(name, "is not base64") from None
        if not data or base64.b64encode(data).decode("ascii") != text:
            raise self.wrong(name, "is empty or not canonical base64 (RFC 4648 4)")
        return data

    def _array(self, name: str, limit: int) -> list[Any]:
        value = self._take(name)
        if not isinstance(value, list):
            raise self.wrong(name, "is not an array")
        if len(value) > limit:
            raise self.wrong(name, f"has {len(value)} items, at most {limit} are allowed")
        return value

    def _null(self, name: str) -> bool:
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return True
        return False

    def _take(self, name: str) -> Any:
        if name not in self._left:
            raise FormatError(f"{self._what} lacks the field {name}")
        return self._left.pop(name)
