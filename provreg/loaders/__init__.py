"""Loaders for training frameworks, each a module that is imported when it is first used.

`import provreg` is enough: `provreg.loaders.torch.ImageDataset` imports PyTorch. A framework that
is not installed is an error that names the extra to install.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provreg.loaders import arrow as arrow
    from provreg.loaders import grain as grain
    from provreg.loaders import huggingface as huggingface
    from provreg.loaders import numpy as numpy
    from provreg.loaders import pandas as pandas
    from provreg.loaders import polars as polars
    from provreg.loaders import torch as torch
    from provreg.loaders import transformers as transformers
    from provreg.loaders import webdataset as webdataset

_MODULES = frozenset(
    {
        "arrow", "grain", "huggingface", "numpy", "pandas", "polars", "torch", "transformers",
        "webdataset",
    }
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module 'provreg.loaders' has no attribute {name!r}")
    return import_module(f"provreg.loaders.{name}")


def __dir__() -> list[str]:
    return sorted(_MODULES)
