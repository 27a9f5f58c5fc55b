"""Datasets that are mapped from a folder: nobody else may put another in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import provreg
from provreg.errors import UsageError
from tests.loaders.conftest import load, pets

__all__ = ["load", "pets"]

pytest.importorskip("datasets", reason="datasets is not installed")


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_folder_that_others_could_put_another_in_the_place_of_is_refused(
    tmp_path: Path, load: Callable[..., provreg.VerifiedSamples], mode: int
) -> None:
    from provreg.loaders.huggingface import dataset

    shared = tmp_path / "shared"
    (shared / "mine").mkdir(parents=True)
    shared.chmod(mode)
    (tmp_path / "link").symlink_to(shared)
    for place in (shared / "d", shared / "mine/d", tmp_path / "link/mine/d"):
        with pytest.raises(UsageError, match="others may write to"):
            dataset(load(), folder=place)
        assert not place.exists()
    shared.chmod(mode | 0o1000)
    made = dataset(load(), folder=tmp_path / "link/mine/d")
    assert made.cache_files[0]["filename"] == str(shared / "mine/d/0.arrow")
