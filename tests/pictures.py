"""Pictures that tests draw: with shapes in them, so that a perceptual hash has something to see."""

from __future__ import annotations

import io
import random
from typing import Any

from PIL import Image, ImageDraw


def picture(seed: int, *, size: int = 64) -> Image.Image:
    """A picture of its own for every seed."""
    chance = random.Random(seed)  # noqa: S311
    drawn = Image.new("RGB", (size, size), tuple(chance.randrange(256) for _ in range(3)))
    canvas = ImageDraw.Draw(drawn)
    for _ in range(8):
        x, y, radius = (
            chance.randrange(size),
            chance.randrange(size),
            chance.randrange(4, size // 2),
        )
        box = (x - radius, y - radius, x + radius, y + radius)
        canvas.ellipse(box, tuple(chance.randrange(256) for _ in range(3)))
    return drawn


def encoded(drawn: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    drawn.save(file, kind, **options)
    return file.getvalue()


def jpeg(seed: int, quality: int = 90) -> bytes:
    return encoded(picture(seed), quality=quality)
