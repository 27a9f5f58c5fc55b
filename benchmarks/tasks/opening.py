"""Opening a large version for training, and the memory that its worker processes then have."""

from __future__ import annotations

import multiprocessing
import re
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.tasks.make_versions import EVERY
from provreg import Sample
from provreg.loaders.torch import VerifiedDataset

_WORKERS = 2


def open_for_training(registry: str, public: str, data: str) -> dict[str, Any]:
    """Seconds of CPU until the dataset is there and its first sample is read."""
    start = time.process_time()
    dataset = VerifiedDataset("data@1", data=data, registry=registry, key=public)
    first = dataset[0]
    taken = time.process_time() - start
    return {"cpu": taken, "samples": len(dataset), "first": first.id}


def worker_memory(registry: str, public: str, data: str, start: str) -> dict[str, Any]:
    """The most private memory of two workers, in bytes, which have loaded from all parts.

    `start` is `fork` or `spawn`. Private are the pages that a process has written to and shares
    with no other.
    """
    dataset = VerifiedDataset(
        "data@1", data=data, registry=registry, key=public, transform=_payload_size
    )
    loader = DataLoader(
        dataset, batch_size=32, sampler=range(0, len(dataset), EVERY), num_workers=_WORKERS,
        multiprocessing_context=start, persistent_workers=True,
    )  # fmt: skip
    loaded = sum(len(batch) for batch in loader)
    workers = [child.pid for child in multiprocessing.active_children()]
    if len(workers) != _WORKERS:
        raise RuntimeError(f"{len(workers)} workers")
    return {"private": max(map(_private, workers)), "samples": len(dataset), "loaded": loaded}


def _payload_size(sample: Sample) -> torch.Tensor:
    return torch.tensor(len(sample.payload))


def _private(process: int | None) -> int:
    said = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8")
    found = re.search(r"^Private_Dirty:\s+(\d+) kB", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(said)
    return 1024 * int(found[1])
