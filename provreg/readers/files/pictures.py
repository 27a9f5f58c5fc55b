"""Pictures decoded: to find those that no program can show, and to compare what others show.

Needs the extra `media`.
"""

from __future__ import annotations

import io
import re
import warnings

from provreg.core.encoding.text import printable
from provreg.errors import needs_extra

with needs_extra("media"):
    from PIL import Image, ImageOps, UnidentifiedImageError

# The endings of pictures that these decoders read.
_PICTURE = re.compile(r".*\.(jpe?g|png|webp|gif|bmp|tiff?|ppm|pgm)", re.IGNORECASE | re.DOTALL)
# No other decoder sees the bytes: some start programs, others are rarely used.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# What is decoded at once: 256 MiB of pixels.
MOST_PIXELS = 1 << 26
_MOST_SHOWN = 100


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture that can be decoded here."""
    return _PICTURE.fullmatch(name) is not None


def picture_complaint(data: bytes) -> str | None:
    """Why the picture `data` cannot be decoded, None if it can; of several frames the first.

    Raises nothing on account of the bytes. More than 67 million pixels are not decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    return f"has more than {MOST_PIXELS:,} pixels: not decoded"
                picture.load()
    except Image.DecompressionBombError:
        return f"has more than {MOST_PIXELS:,} pixels: not decoded"
    except UnidentifiedImageError:
        return "is not a picture"
    except Exception as error:  # decoders of pictures raise anything
        return printable(str(error) or type(error).__name__)[:_MOST_SHOWN]
    return None


def gray(data: bytes, *sides: tuple[int, int]) -> tuple[bytes, ...] | None:
    """The picture `data` in gray, scaled to each of `sides` (width, height), a byte a pixel.

    None for what cannot be decoded, as `picture_complaint`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    return None
                upright = ImageOps.exif_transpose(picture).convert("L")
                return tuple(
                    upright.resize(side, Image.Resampling.LANCZOS).tobytes() for side in sides
                )
    except Exception:  # decoders of pictures raise anything
        return None
