"""Images and shards through PyTorch's DataLoader and WebDataset, plainly and verified.

A task goes through the same samples with both loaders in turn, in one process, and gives the
seconds of each pass: what else the machine does then falls on both. `same` says whether what they
handed out (tensors and labels, in order) has one digest.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.tasks import timed
from benchmarks.tasks.plain_images import PlainImageFolder
from provreg import load
from provreg.loaders.torch import ImageDataset
from provreg.loaders.webdataset import VerifiedWebDataset

# What is trained on: of larger images the middle.
_SIDE = 224
_BATCH = {True: 128, False: 16}

Pass = Callable[[], Iterable[Any]]


def image_passes(
    data: str, registry: str, public: str, count: str, workers: str, rounds: str
) -> dict[str, Any]:
    """Passes over `count` images in random order, in `workers` processes that stay."""
    plain = PlainImageFolder(data, _tensor)
    verified = _verified(data, registry, public)
    order = random.Random(20).sample(range(len(plain)), int(count))
    small = plain[0][0].shape[-1] < _SIDE
    loaders = [
        DataLoader(
            dataset, batch_size=_BATCH[small], sampler=order, num_workers=int(workers),
            persistent_workers=workers != "0",
        )
        for dataset in (plain, verified)
    ]  # fmt: skip
    return _passes(*(loader.__iter__ for loader in loaders), rounds=int(rounds))


def first_plain_batch(data: str) -> dict[str, Any]:
    """From nothing to the first batch: what training waits for."""
    return _first_batch(lambda: PlainImageFolder(data, _tensor))


def first_verified_batch(data: str, registry: str, public: str) -> dict[str, Any]:
    """As `first_plain_batch`, of a version that was verified before (steps 1 to 11 again)."""
    return _first_batch(lambda: _verified(data, registry, public))


def shard_passes(folder: str, registry: str, public: str, rounds: str) -> dict[str, Any]:
    """Passes over tar shards in their order, images decoded."""
    paths = sorted(map(str, Path(folder).iterdir()))
    samples = load("data", data=Path(folder), registry=registry, key=public)

    def made(source: Any) -> Pass:
        pipeline = source.decode("pil").to_tuple("jpg", "cls")
        return lambda: ((np.asarray(image), label) for image, label in pipeline)

    plain = webdataset.WebDataset(paths, shardshuffle=False)
    return _passes(made(plain), made(VerifiedWebDataset(samples)), rounds=int(rounds))


def _verified(data: str, registry: str, public: str) -> ImageDataset:
    return ImageDataset("data", data=data, registry=registry, key=public, transform=_tensor)


def _tensor(image: Image.Image) -> torch.Tensor:
    """As torchvision's CenterCrop and ToTensor."""
    width, height = image.size
    if width > _SIDE and height > _SIDE:
        left, top = (width - _SIDE) // 2, (height - _SIDE) // 2
        image = image.crop((left, top, left + _SIDE, top + _SIDE))
    pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
    return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)


def _first_batch(make: Callable[[], Any]) -> dict[str, Any]:
    def batch() -> Any:
        dataset = make()
        order = torch.Generator().manual_seed(20)
        loader = DataLoader(dataset, batch_size=_BATCH[True], shuffle=True, generator=order)
        return len(dataset), next(iter(loader))

    seconds, (samples, first) = timed(batch)
    return {"seconds": seconds, "samples": samples, "digest": _digest([first])}


def _passes(plain: Pass, verified: Pass, *, rounds: int) -> dict[str, Any]:
    # With two processors one for each worker, or for this process.
    torch.set_num_threads(1)
    digests = [_digest(one()) for one in (plain, verified)]
    seconds: dict[str, list[float]] = {"plain": [], "verified": []}
    samples = set()
    for _ in range(rounds):
        for name, one in (("plain", plain), ("verified", verified)):
            taken, count = timed(lambda one=one: _count(one()))  # type: ignore[misc]
            seconds[name].append(taken)
            samples.add(count)
    return {**seconds, "samples": sorted(samples), "same": digests[0] == digests[1]}


def _count(items: Iterable[Any]) -> int:
    """Batches, or single samples whose label is bytes or a number."""
    return sum(len(label) if isinstance(label, torch.Tensor) else 1 for _, label in items)


def _digest(items: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for image, label in items:
        found.update(np.ascontiguousarray(image).data)
        found.update(repr(label.tolist() if isinstance(label, torch.Tensor) else label).encode())
    return found.hexdigest()
