"""Which samples of a version: one bit each, in the order of ids (docs/format/run.md, "Bitmap").

Samples are grouped into chunks of 4,096. One byte per chunk is its state: none, all or some of its
samples. Chunks with some follow as bits. A set has exactly one encoding, of at most 1 + 1/512 bits
per sample. Reading allocates memory for the expected number of samples only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from provreg.errors import FormatError

CHUNK = 4096
_CHUNK_BYTES = CHUNK // 8
_NONE, _ALL, _SOME = range(3)


def pack(members: npt.NDArray[np.bool_]) -> bytes:
    """The bitmap of `members`, bool of shape (samples,)."""
    bits = _in_chunks(members)
    states = _states(bits, len(members))
    some = np.packbits(bits[states == _SOME], axis=1, bitorder="little")
    return states.tobytes() + some.tobytes()


def unpack(data: bytes, samples: int) -> npt.NDArray[np.bool_]:
    """The inverse of `pack`: bool of shape (samples,).

    Raises FormatError for anything but the canonical bitmap of that many samples.
    """
    chunks = -(-samples // CHUNK)
    states = np.frombuffer(data[:chunks], np.uint8)
    expected = chunks + int(np.count_nonzero(states == _SOME)) * _CHUNK_BYTES
    if len(states) != chunks or len(data) != expected:
        raise FormatError(f"a bitmap of {samples} samples does not have {len(data)} bytes")
    if chunks and int(states.max()) > _SOME:
        raise FormatError("the bitmap has a chunk in an unknown state")
    bits = np.zeros((chunks, CHUNK), np.bool_)
    bits[states == _ALL] = True
    some = np.frombuffer(data, np.uint8, offset=chunks).reshape(-1, _CHUNK_BYTES)
    bits[states == _SOME] = np.unpackbits(some, axis=1, bitorder="little").view(np.bool_)
    members = bits.reshape(-1)[:samples].copy()
    if pack(members) != data:
        raise FormatError("the bitmap is not in canonical form")
    return members


def max_bytes(samples: int) -> int:
    """The size of the largest bitmap of that many samples."""
    return -(-samples // CHUNK) * (1 + _CHUNK_BYTES)


def _in_chunks(members: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """bool of shape (chunks, CHUNK), the last chunk filled up with False."""
    missing = -len(members) % CHUNK
    return np.concatenate([members, np.zeros(missing, np.bool_)]).reshape(-1, CHUNK)


def _states(bits: npt.NDArray[np.bool_], samples: int) -> npt.NDArray[np.uint8]:
    counts = np.count_nonzero(bits, axis=1)
    sizes = np.minimum(samples - np.arange(len(bits)) * CHUNK, CHUNK)
    states = np.full(len(bits), _SOME, np.uint8)
    states[counts == 0] = _NONE
    states[counts == sizes] = _ALL
    return states
