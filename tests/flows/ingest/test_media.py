"""Pictures that cannot be decoded (`--check-media`)."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from provreg.errors import UsageError
from provreg.flows.ingest.request import Ingestion
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from pathlib import Path

    from provreg.core.changes.notices import Notice
    from tests.conftest import Bench

Image = pytest.importorskip("PIL.Image")


def picture(kind: str = "JPEG", shade: int = 0) -> bytes:
    data = io.BytesIO()
    Image.effect_noise((64, 64), 50 + shade).convert("RGB").save(data, kind)
    return data.getvalue()


def bomb() -> bytes:
    """A PNG of 100,000 by 100,000 pixels in some bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 16))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def looked_at(bench: Bench, data: Path, **options: ReadOptions) -> Notice | None:
    ingestion = Ingestion("pets", (data,), source="web", check_media=True, **options)
    outcome = bench.open().dry_run(ingestion, bench.signer())
    found = [notice for notice in outcome.notices if notice.kind == "undecodable"]
    assert len(found) <= 1
    return found[0] if found else None


def test_damaged_pictures_are_named_with_the_reason(bench: Bench) -> None:
    good = picture()
    data = bench.write("pets", {
        "cat/bomb.png": bomb(),
        "cat/cut.jpg": good[: len(good) // 2],
        "cat/empty.jpg": b"",
        "cat/good.jpg": good,
        "cat/good.png": picture("PNG"),
        "cat/notes.txt": b"no picture, and none that it claims to be",
        "cat/text.jpeg": b"no picture",
    })  # fmt: skip
    notice = looked_at(bench, data)
    assert notice is not None
    assert notice.samples == 4
    assert notice.ids == ("cat/bomb.png", "cat/cut.jpg", "cat/empty.jpg", "cat/text.jpeg")
    assert "4 of 6 pictures" in notice.message
    assert "more than 67,108,864 pixels" in notice.message
    assert "truncated" in notice.message


def test_only_new_and_changed_pictures_are_decoded(bench: Bench) -> None:
    data = bench.write("pets", {"cat/1.jpg": b"broken", "cat/2.jpg": picture()})
    bench.ingest(data)
    assert looked_at(bench, data) is None
    (data / "cat/2.jpg").write_bytes(b"broken too")
    (data / "cat/1.jpg").rename(data / "cat/3.jpg")
    notice = looked_at(bench, data)
    assert notice is not None
    # The bytes of cat/1.jpg have another name now.
    assert notice.ids == ("cat/2.jpg",)


def test_rows_have_no_pictures_to_decode(bench: Bench) -> None:
    table = bench.write("rows", {"a.csv": "id,text\n1,x\n"})
    with pytest.raises(UsageError, match="--check-media needs samples that are files"):
        looked_at(bench, table, options=ReadOptions(id="id"))
