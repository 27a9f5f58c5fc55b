"""Receipts that nobody has signed yet, as one file: the statement and the bitmaps that it names.

One whose model could not be read when the run ended names no file of it until it is signed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

from provreg.core.encoding.bitmap import most_bytes
from provreg.core.encoding.canonical import canonical, parse_json
from provreg.core.encoding.digest import blake3_digest
from provreg.core.encoding.strict_fields import Fields
from provreg.core.statements.receipt import MAX_DATASETS, MAX_RECEIPT_BYTES, Receipt, parse_receipt
from provreg.errors import FormatError

UNSIGNED_FORMAT = "provreg.unsigned-receipt/v1"
# Half of each of 64 versions of 100,000,000 samples at random, in base64.
MAX_UNSIGNED_BYTES = 1 << 30
_WHAT = "the unsigned receipt"


@dataclass(frozen=True, slots=True)
class UnsignedReceipt:
    """A receipt's statement, and the bitmaps it names in the order of its datasets."""

    statement: bytes
    bitmaps: tuple[bytes, ...]

    @classmethod
    def of(cls, receipt: Receipt, bitmap_of: Callable[[str], bytes]) -> UnsignedReceipt:
        """`bitmap_of` gives the bitmap for a head. Raises as `Receipt.statement`."""
        bitmaps = tuple(bitmap_of(one.head) for one in receipt.datasets)
        return cls(receipt.statement(model_to_come=True), bitmaps)

    def to_bytes(self) -> bytes:
        return canonical(
            {
                "format": UNSIGNED_FORMAT,
                "statement": self.statement.decode(),
                "bitmaps": [base64.b64encode(one).decode() for one in self.bitmaps],
            }
        )


def parse_unsigned(data: bytes) -> tuple[UnsignedReceipt, Receipt]:
    """What `to_bytes` wrote, and the receipt in it; raises FormatError for anything else."""
    fields = Fields(parse_json(data, what=_WHAT, limit=MAX_UNSIGNED_BYTES), _WHAT)
    if fields.text("format", limit=80) != UNSIGNED_FORMAT:
        raise FormatError(f"{_WHAT} is not of the format {UNSIGNED_FORMAT}")
    statement = fields.text("statement", limit=MAX_RECEIPT_BYTES).encode()
    texts = fields.texts("bitmaps", limit=MAX_DATASETS)
    fields.done()
    receipt = parse_receipt(statement, model_to_come=True)
    if len(texts) != len(receipt.datasets):
        raise FormatError(f"{_WHAT} has {len(texts)} bitmaps for {len(receipt.datasets)} versions")
    bitmaps = []
    for text, on in zip(texts, receipt.datasets, strict=True):
        try:
            bitmap = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise FormatError(f"{_WHAT} has a bitmap that is not base64") from None
        if len(bitmap) > most_bytes(on.samples) or blake3_digest(bitmap) != on.bitmap:
            raise FormatError(f"{_WHAT} has another bitmap than it names for {on.dataset}")
        bitmaps.append(bitmap)
    return UnsignedReceipt(statement, tuple(bitmaps)), receipt
