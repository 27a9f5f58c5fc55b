"""Perceptual hashes of pictures: 64 bits that recompressing and scaling hardly change.

Sources: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions" (pHash);
the bits are those of the library imagehash. A pHash survives recompression better, a dHash small
marks; both are taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Pixels = npt.NDArray[np.uint8]

# Sides of the gray pictures that are hashed.
PHASH_SIDE = 32
DHASH_WIDTH, DHASH_HEIGHT = 9, 8
_SIDE = 8
# The first eight rows of the discrete cosine transform (type II) of 32 values.
_COSINES = 2 * np.cos(np.pi / PHASH_SIDE * np.outer(np.arange(_SIDE), np.arange(PHASH_SIDE) + 0.5))
_BIT = np.uint64(1) << np.arange(63, -1, -1, dtype=np.uint64)


def phash(pictures: Pixels) -> Hashes:
    """The pHash of gray pictures of shape (n, 32, 32): low frequencies above their median."""
    low = _COSINES @ pictures.astype(np.float64) @ _COSINES.T
    values = low.reshape(len(pictures), _SIDE * _SIDE)
    return _packed(values > np.median(values, axis=1, keepdims=True))


def dhash(pictures: Pixels) -> Hashes:
    """The dHash of gray pictures of shape (n, 8, 9): whether each pixel is lighter than the one to
    its left."""
    brighter = pictures[:, :, 1:] > pictures[:, :, :-1]
    return _packed(brighter.reshape(len(pictures), _SIDE * _SIDE))


def _packed(bits: npt.NDArray[np.bool_]) -> Hashes:
    return np.asarray(bits.astype(np.uint64) @ _BIT, np.uint64)
