"""The loader that verified images are measured against: torchvision's ImageFolder, written plainly.

torchvision is not to be had beside the CPU build of torch here. This does what it does: a scan of
the folder when it is made, then `Image.open` of an open file, RGB, and the transform.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class PlainImageFolder(Dataset[tuple[Any, int]]):
    """Every image below `root` with the index of its class, which is the folder it lies in."""

    def __init__(self, root: str, transform: Callable[[Any], Any]) -> None:
        self.transform = transform
        found = [
            # Path would be slower, and is not what torchvision takes.
            (os.path.join(folder, name), os.path.basename(folder))  # noqa: PTH118, PTH119
            for folder, _, names in sorted(os.walk(root, followlinks=True))
            for name in sorted(names)
            if name.lower().endswith(_EXTENSIONS)
        ]
        self.classes = sorted({name for _, name in found})
        index = {name: at for at, name in enumerate(self.classes)}
        self.samples = [(path, index[name]) for path, name in found]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, target = self.samples[index]
        with open(path, "rb") as file:
            image = Image.open(file).convert("RGB")
        return self.transform(image), target
