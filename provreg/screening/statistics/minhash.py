"""MinHash signatures of texts: how much of two texts is the same, from 128 bytes of each.

A text's shingles are all runs of five letters and digits, in lower case, whatever is between them;
letters that look alike are the same. Two texts agree in as large a share of their bytes as they
share of their shingles (Jaccard similarity), beside one byte in 256 that agrees by chance.

Sources: Broder 1997, "On the resemblance and containment of documents"; Li and König 2010, "b-bit
minwise hashing", of which the signatures keep eight bits a permutation.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from provreg.core.encoding.confusables import skeletons

Signatures = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
_Words = npt.NDArray[np.uint64]

SHINGLE = 5
PERMUTATIONS = 128
# A signature is this many words of eight bytes. Texts that agree in a word are compared.
BANDS = 16
_ROWS = PERMUTATIONS // BANDS
# Another value where the signatures of the same texts would differ.
VERSION = 1
# Odd, so that each is a permutation of all 64 bits: with 32 bits all would be nearly the same.
_FACTORS = np.frombuffer(blake3(b"provreg MinHash").digest(length=8 * PERMUTATIONS), "<u8") | 1
_STEP, _MIX, _MIX_AGAIN = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)
# The first bits of a minimum are mostly zero, the last depend on few bits of the shingle.
_KEPT_BITS = np.uint64(28)
# Characters that are folded, and shingles that are permuted, at once: as the caches hold.
_PIECE, _BLOCK = 1 << 15, 1 << 14
# Most letters that look like others are below.
_MOST_FOLDED = 0x3000
# Letters, digits, and marks that take a place of their own.
_KEPT_KINDS = ("L", "N", "Mc")


@cache
def _plain() -> dict[str, str]:
    """A letter for each skeleton of one: that of m has two, with which `translate` is slow."""
    return {skeletons(letter)[0]: letter for letter in string.ascii_lowercase + string.digits}


class _Folding(dict[int, str | None]):
    """What each character is folded to, for `str.translate`; made when first asked for."""

    def __missing__(self, code: int) -> str | None:
        alike = skeletons(chr(code))[0]
        alike = unicodedata.normalize("NFKD", _plain().get(alike, alike))
        folded = "".join(one for one in alike if unicodedata.category(one).startswith(_KEPT_KINDS))
        self[code] = folded or None  # which `translate` is faster with than with an empty text
        return self[code]


_FOLDING = _Folding()


def folded(text: str) -> str:
    """The letters and digits of `text` that are compared."""
    return text.translate(_FOLDING)


def folding_digest() -> str:
    """Another text where characters are folded in another way."""
    return blake3(folded("".join(map(chr, range(_MOST_FOLDED)))).encode()).hexdigest()[:8]


def signatures(texts: Iterable[str], count: int) -> tuple[Signatures, Mask]:
    """(a signature of each of `count` texts, shape (count, 16), whether it has a shingle at all).

    Takes a text at a time, and 1 KiB of memory for each until the end.
    """
    minima = np.full((count, PERMUTATIONS), np.iinfo(np.uint64).max)
    seen = np.zeros(count, np.bool_)
    pieces: list[str] = []
    places: list[int] = []
    size = 0
    for place, text in enumerate(texts):
        for piece in _pieces(text):
            pieces.append(piece)
            places.append(place)
            size += len(piece)
            if size >= _BLOCK:
                _add(minima, seen, pieces, places)
                pieces, places, size = [], [], 0
    if pieces:
        _add(minima, seen, pieces, places)
    kept = (minima >> _KEPT_BITS).astype(np.uint8)
    return kept.view("<u8").astype(np.uint64, copy=False), seen


def _pieces(text: str) -> Iterator[str]:
    """The folded text in pieces that have each of its shingles once."""
    before = ""
    for at in range(0, len(text), _PIECE):
        piece = before + folded(text[at : at + _PIECE])
        if len(piece) >= SHINGLE:
            yield piece
        before = piece[1 - SHINGLE :]


def _add(minima: _Words, seen: Mask, pieces: list[str], places: list[int]) -> None:
    """Takes the shingles of `pieces` of the texts in `places` (ascending) into their minima."""
    lengths = np.array([len(piece) for piece in pieces])
    ends = np.cumsum(lengths)
    codes = np.frombuffer("".join(pieces).encode("utf-32-le", "surrogatepass"), "<u4")
    shingles = shingle_hashes(codes)
    across = ends[:-1, None] - np.arange(1, SHINGLE)
    shingles = np.delete(shingles, across.ravel())
    begins = np.cumsum(lengths - (SHINGLE - 1)) - (lengths - (SHINGLE - 1))
    texts, first = np.unique(places, return_index=True)
    begins = begins[first]
    found = np.empty((PERMUTATIONS, len(texts)), np.uint64)
    permuted = np.empty_like(shingles)
    for number, factor in enumerate(_FACTORS):
        np.multiply(shingles, factor, out=permuted)
        np.minimum.reduceat(permuted, begins, out=found[number])
    minima[texts] = np.minimum(minima[texts], found.T)
    seen[texts] = True


def shingle_hashes(codes: npt.NDArray[np.uint32]) -> _Words:
    """64 bits of every shingle of the characters `codes`."""
    count = len(codes) - SHINGLE + 1
    hashes = np.zeros(count, np.uint64)
    for at in range(SHINGLE):
        hashes *= _STEP
        hashes += codes[at : at + count]
    for shift, factor in ((30, _MIX), (27, _MIX_AGAIN)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= factor
    return hashes ^ (hashes >> np.uint64(31))


def similarity(agreeing: float) -> float:
    """The Jaccard similarity of two texts whose signatures agree in so many bytes, estimated."""
    return (agreeing / PERMUTATIONS - 1 / 256) / (1 - 1 / 256)
