"""A small folder of pets, published by alice, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import provreg


@pytest.fixture
def pets(bench: Any) -> Path:
    """Six cats and dogs in `train` and two in `test`, as `pets@1`."""
    data: Path = bench.write(
        "pets",
        {
            f"{split}/{'cat' if number % 2 else 'dog'}/{number}.jpg": b"picture %d" % number
            for split, numbers in (("train", range(6)), ("test", range(6, 8)))
            for number in numbers
        },
    )
    how = provreg.ReadOptions(split="dir")
    bench.ingest(data, source="shelter", labeler="ann", options=how)
    return data


@pytest.fixture
def load(bench: Any, pets: Path) -> Callable[..., provreg.VerifiedSamples]:
    """`provreg.load` of the pets, as who trusts alice."""

    def load(reference: str = "pets@1", **more: Any) -> provreg.VerifiedSamples:
        given = {"data": pets, "key": bench.key_file(), "registry": bench.registry} | more
        return provreg.load(reference, **given)

    return load


@pytest.fixture
def publish(bench: Any) -> Callable[..., None]:
    """Publishes what lies at a path as the next version of `d`, read as is said."""

    def publish(path: Path, **said: Any) -> None:
        of_ingest = {"source": "s", "labeler": "ann"}
        of_ingest |= {name: said.pop(name) for name in ("source", "labeler") if name in said}
        bench.ingest(path, name="d", options=provreg.ReadOptions(**said), **of_ingest)

    return publish


@pytest.fixture
def load_data(bench: Any) -> Callable[..., provreg.VerifiedSamples]:
    """`provreg.load` of the newest version of `d` from a path, as who trusts alice."""

    def load_data(path: Path, **more: Any) -> provreg.VerifiedSamples:
        given = {"key": bench.key_file(), "registry": bench.registry} | more
        return provreg.load("d", data=path, **given)

    return load_data
