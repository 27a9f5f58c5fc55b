"""Decoding verified bytes as images. A signature does not make an image harmless."""

from __future__ import annotations

import io

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, needs_extra

with needs_extra("torch"):
    from PIL import Image

# Common formats. Other plug-ins of Pillow start programs or are rarely audited.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "MPO")
# As Pillow's own limit, which only warns: 268 MB once it is RGB.
MAX_PIXELS = 89_478_485


def decode_rgb(payload: bytes, sample: str) -> Image.Image:
    """The image in `payload` as RGB, decoded whole.

    Raises InputError, naming `sample`, for anything but one of FORMATS, for more than MAX_PIXELS,
    and for an image that is damaged or cut short.
    """
    try:
        image = Image.open(io.BytesIO(payload), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise InputError(
                f"{quoted(sample)} has {image.width:,} x {image.height:,} pixels, at most"
                f" {MAX_PIXELS:,} are allowed",
                sample=sample,
            )
        image.load()
        # convert() copies even if the mode stays the same.
        return image if image.mode == "RGB" else image.convert("RGB")
    except InputError:
        raise
    # Pillow's plug-ins raise arbitrary exceptions on malicious bytes.
    except Exception as error:
        raise InputError(
            f"{quoted(sample)} is as signed, but cannot be decoded as an image:"
            f" {quoted(str(error) or type(error).__name__)}",
            hint=f"supported formats: {', '.join(FORMATS)}",
            sample=sample,
        ) from None
