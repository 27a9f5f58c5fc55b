"""Whether two files show the same picture: a perceptual hash of 64 bits (docs/adr/0018-fetch.md).

It tells a picture that was compressed or scaled anew from another one. It proves nothing: whoever
wants to can change a picture so that its hash stays.
"""

from __future__ import annotations

import re
import threading
from typing import IO

import imagehash
from PIL import Image, ImageOps

BITS = 64
# The most bits in which one picture's hashes differ. Of 12,000 pictures of 32 by 32 pixels that
# were compressed or scaled anew 2 differed in more; of a million pairs of others 1 in no more.
SAME_PICTURE = 8
# The formats of pictures on the web: of every other decoder nothing reaches its code.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "MPO")
_MOST_PIXELS = 1 << 26
_HASH = re.compile(r"[0-9a-f]{16}")
# A picture's hash has as many ones as zeros. One of a single colour has none, and looks like all
# others of a single colour.
_FEWEST_ONES = BITS // 4
# A picture of 8 MB can unfold to 256: not one for each of many threads.
_unfolding = threading.BoundedSemaphore(2)


def perceptual_hash(file: IO[bytes]) -> str | None:
    """The hash of the picture in `file`, as 16 hexadecimal digits: `phash` of the first frame.

    None where it is no picture, has more than 67 million pixels, or shows nothing to tell it by.
    Raises nothing on account of the file's bytes.
    """
    try:
        with _unfolding:
            file.seek(0)
            with Image.open(file, formats=_FORMATS) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    return None
                found = imagehash.phash(ImageOps.exif_transpose(picture))
    except Exception:  # decoders of pictures raise anything
        return None
    ones = int(found.hash.sum())
    return str(found) if _FEWEST_ONES <= ones <= BITS - _FEWEST_ONES else None


def is_hash(text: str) -> bool:
    """Whether `text` is what `perceptual_hash` gives."""
    return _HASH.fullmatch(text) is not None


def differing_bits(first: str, second: str) -> int:
    """In how many of their 64 bits two hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
