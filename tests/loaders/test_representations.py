"""What datasets and samples show of themselves: what they are, and nothing of their payloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import provreg

Load = Callable[..., provreg.VerifiedSamples]


def test_samples_say_which_version_how_many_and_where(load: Load, pets: Path) -> None:
    assert repr(load()) == f"VerifiedSamples(pets@1, 8 samples in '{pets}')"
    assert repr(load(select="label = 'cat'")) == (
        f"VerifiedSamples(pets@1, 4 of 8 samples in '{pets}')"
    )


def test_sample_says_what_is_signed_and_how_long_it_is(load: Load) -> None:
    assert repr(load()[0]) == (
        "Sample('test/cat/7.jpg', 9 bytes, label 'cat', source 'shelter', labeler 'ann',"
        " split 'test')"
    )


@pytest.mark.parametrize("payload", [b"\x1b[2J" * 100_000, {"text": "secret" * 100_000}])
def test_payload_is_in_no_repr(payload: Any) -> None:
    sample = provreg.Sample("x" * 4096, payload, "\u202e" * 1024, "s", None, None)
    shown = repr(sample)
    assert len(shown) < 1500
    assert shown.isprintable()
    assert "secret" not in shown
    assert "…" in shown


def test_image_dataset_says_what_it_is(load: Load, pets: Path, bench: Any) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    options = {"data": pets, "key": bench.key_file(), "registry": bench.registry}
    from provreg.loaders.torch import ImageDataset, VerifiedDataset, VerifiedIterableDataset

    for kind in (ImageDataset, VerifiedDataset, VerifiedIterableDataset):
        shown = repr(kind("pets@1", **options))
        assert shown == f"{kind.__name__}(pets@1, 8 samples in '{pets}')"
    shared = VerifiedIterableDataset("pets@1", rank=1, world_size=4, **options)
    assert repr(shared).endswith(", rank 1 of 4)")


def test_arrays_say_their_shapes(load: Load) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    from provreg.loaders.numpy import arrays

    found = arrays(load(), decode=lambda payload: np.frombuffer(payload, np.uint8))
    assert repr(found) == "Arrays(x uint8 (8, 9), y (8,), 2 classes, 1 origin)"
