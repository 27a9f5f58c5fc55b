"""The perceptual hash of pictures, on good ones and on bytes that attack their decoders."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, jpeg, picture
from PIL import Image, ImageFile

from provreg.readers.web.picture import (
    BITS,
    SAME_PICTURE,
    differing_bits,
    is_hash,
    perceptual_hash,
)


def hash_of(data: bytes) -> str:
    found = perceptual_hash(io.BytesIO(data))
    assert found is not None
    assert is_hash(found)
    return found


def test_a_picture_compressed_scaled_or_converted_anew_is_the_same_one() -> None:
    for seed in range(20):
        drawn = picture(seed)
        signed = hash_of(encoded(drawn, quality=90))
        for other in (
            encoded(drawn, quality=20),
            encoded(drawn, "PNG"),
            encoded(drawn, "WEBP", quality=50),
            encoded(drawn.resize((200, 200)), quality=80),
            encoded(drawn.resize((40, 40)), quality=80),
        ):
            assert differing_bits(signed, hash_of(other)) <= SAME_PICTURE


def test_other_pictures_are_told_apart() -> None:
    hashes = [hash_of(jpeg(seed)) for seed in range(60)]
    distances = [
        differing_bits(one, other) for place, one in enumerate(hashes) for other in hashes[:place]
    ]
    assert min(distances) > SAME_PICTURE
    assert max(distances) <= BITS


def test_a_picture_turned_by_its_metadata_is_the_one_that_is_seen() -> None:
    drawn = picture(1)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    turned = encoded(drawn.rotate(90), quality=90, exif=exif)
    assert differing_bits(hash_of(turned), hash_of(encoded(drawn, quality=90))) <= SAME_PICTURE


@pytest.mark.parametrize("colour", ["black", "white", "red", (70, 70, 70)])
def test_pictures_of_one_colour_have_no_hash_for_they_would_all_be_one(colour: object) -> None:
    flat = Image.new("RGB", (64, 64), colour)  # type: ignore[arg-type]
    assert perceptual_hash(io.BytesIO(encoded(flat))) is None


def _png(width: int, height: int) -> bytes:
    """A PNG that says it is so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000)))


@pytest.mark.parametrize("size", [(9000, 9000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bomb_of_a_picture_is_not_unpacked(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[object] = []

    def load(file: ImageFile.ImageFile) -> None:
        unpacked.append(file)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert perceptual_hash(io.BytesIO(_png(*size))) is None
    assert unpacked == []


@pytest.mark.parametrize(
    "data", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", jpeg(1)[:-400]]
)
def test_what_is_no_whole_picture_has_no_hash(data: bytes) -> None:
    assert perceptual_hash(io.BytesIO(data)) is None


def test_rare_decoders_are_not_reached() -> None:
    for kind in ("TIFF", "ICO", "PPM", "PCX", "TGA", "SGI"):
        assert perceptual_hash(io.BytesIO(encoded(picture(1), kind))) is None


GOOD = [encoded(picture(1, size=32), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]


@given(st.sampled_from(GOOD), st.data())
def test_no_bytes_break_the_perceptual_hash(good: bytes, data: st.DataObject) -> None:
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    found = perceptual_hash(io.BytesIO(damaged[: data.draw(st.integers(0, len(good)))]))
    assert found is None or is_hash(found)


@pytest.mark.parametrize("text", ["", "0" * 15, "0" * 17, "g" * 16, "A" * 16, "\u0660" * 16])
def test_what_is_no_hash_is_seen(text: str) -> None:
    assert not is_hash(text)
