"""The pictures that are attacked, each with what it shows, and what a small model sees of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits

Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float64]
CIFAR10 = Path(__file__).parents[2].parent / "shared/data/cifar10-jpeg.tar.xz"
# Of each of the ten classes of CIFAR-10.
_TRAINED, _HELD_OUT = 300, 100
_CELLS, _DIRECTIONS = 4, 9


@dataclass(frozen=True)
class Pictures:
    """Pictures with their labels 0 to 9: the first `trained` are the dataset, the rest is held out.

    `features` makes rows of numbers of pictures, for a logistic regression.
    """

    name: str
    pixels: Pixels
    labels: npt.NDArray[np.int64]
    trained: int
    features: Callable[[Pixels], Features]

    @property
    def held_out(self) -> tuple[Pixels, npt.NDArray[np.int64]]:
        """Pictures that are not in the dataset, and their labels."""
        return self.pixels[self.trained :], self.labels[self.trained :]


@cache
def digits() -> Pictures:
    """1,797 handwritten digits of scikit-learn, 8 x 8 pixels enlarged to 16 x 16."""
    found = load_digits()
    shades = (found.images * 255 / 16).astype(np.uint8)
    enlarged = shades.repeat(2, axis=1).repeat(2, axis=2)
    return Pictures("digits", enlarged, found.target, 1297, lambda one: one.reshape(-1, 256) / 255)


@cache
def cifar10() -> Pictures:
    """4,000 JPEGs of CIFAR-10, 32 x 32 pixels in colour, in an order that is drawn once."""
    with tarfile.open(CIFAR10) as archive:
        found = list(_decoded(archive))
    order = np.random.default_rng(10).permutation(len(found))
    trained = sum(place < _TRAINED for place, _, _ in found)
    first = [at for at in order if found[at][0] < _TRAINED]
    rest = [at for at in order if found[at][0] >= _TRAINED]
    chosen = [found[at] for at in (*first, *rest)]
    pixels = np.stack([pixels for _, _, pixels in chosen])
    labels = np.array([label for _, label, _ in chosen])
    return Pictures("CIFAR-10", pixels, labels, trained, edges_and_colours)


def _decoded(archive: tarfile.TarFile) -> Iterator[tuple[int, int, Pixels]]:
    """(place in its class, class, pixels) of the first pictures of each class."""
    classes: dict[str, int] = {}
    for member in archive:
        folder, _, file = member.name.rpartition("/")
        if not member.isfile() or not folder.startswith("test/"):
            if classes and folder.startswith("train"):
                return
            continue
        label = classes.setdefault(folder, len(classes))
        place = int(Path(file).stem)
        stream = archive.extractfile(member)
        if place < _TRAINED + _HELD_OUT and stream is not None:
            yield place, label, np.asarray(Image.open(io.BytesIO(stream.read())).convert("RGB"))


def edges_and_colours(pixels: Pixels) -> Features:
    """Of each picture the directions of its edges (Dalal and Triggs 2005) and its mean colours, in
    4 x 4 cells."""
    colours = pixels.astype(np.float64) / 255
    down, right = np.gradient(colours.mean(axis=3), axis=(1, 2))
    strength = np.hypot(down, right)
    direction = (np.arctan2(down, right) % np.pi / np.pi * _DIRECTIONS).astype(int)
    direction = direction.clip(0, _DIRECTIONS - 1)
    by_direction = [_cells(strength * (direction == one)) for one in range(_DIRECTIONS)]
    edges = np.concatenate(by_direction, axis=1)
    edges = edges / (np.linalg.norm(edges, axis=1, keepdims=True) + 1e-6)
    means = [_cells(colours[..., channel]) for channel in range(3)]
    return np.concatenate([edges * 8, *means], axis=1)


def _cells(values: Features) -> Features:
    """The means of `values` (pictures x height x width) in 4 x 4 cells, a row a picture."""
    count, side = len(values), values.shape[1] // _CELLS
    means: Features = values.reshape(count, _CELLS, side, _CELLS, side).mean(axis=(2, 4))
    return means.reshape(count, -1)
