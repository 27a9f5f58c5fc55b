"""The little of ASN.1's distinguished encoding (X.690) that timestamps and SCTs are made of."""

from __future__ import annotations

INTEGER, OCTETS, NULL, OID, UTF8, TIME = 0x02, 0x04, 0x05, 0x06, 0x0C, 0x18
SEQUENCE, SET, EXPLICIT_0 = 0x30, 0x31, 0xA0


def der(tag: int, *parts: bytes) -> bytes:
    """Tag, definite length, contents."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def integer(value: int) -> bytes:
    return der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    body = b""
    for number in (first * 40 + second, *rest):
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        body += bytes(reversed(digits))
    return der(OID, body)


def set_of(*members: bytes) -> bytes:
    return der(SET, *sorted(members))


def children(data: bytes) -> list[bytes]:
    """The encodings inside the one constructed value that `data` is."""
    inside, found = _body(data), []
    while inside:
        length = len(inside) - len(_rest(inside))
        found.append(inside[:length])
        inside = inside[length:]
    return found


def _header(data: bytes) -> tuple[int, int]:
    """(length of the header, length of the contents)."""
    first = data[1]
    if first < 0x80:
        return 2, first
    size = first & 0x7F
    return 2 + size, int.from_bytes(data[2 : 2 + size], "big")


def _body(data: bytes) -> bytes:
    header, length = _header(data)
    return data[header : header + length]


def _rest(data: bytes) -> bytes:
    header, length = _header(data)
    return data[header + length :]
