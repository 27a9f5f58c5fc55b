"""provreg: signed, verified training data with a known origin for every sample.

    import provreg

    for sample in provreg.load("cifar10@3", data="data/cifar10", policy="policy.toml"):
        train(sample.payload, sample.label)

Importing this package loads no heavy library; each name and module is loaded when it is first used:
`provreg.loaders.torch.ImageDataset` needs no other import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from provreg.version import __version__ as __version__

if TYPE_CHECKING:
    from provreg import errors as errors
    from provreg import loaders as loaders
    from provreg.errors import DamagedError as DamagedError
    from provreg.errors import Finding as Finding
    from provreg.errors import FormatError as FormatError
    from provreg.errors import InputError as InputError
    from provreg.errors import NotFetchedError as NotFetchedError
    from provreg.errors import NotFoundError as NotFoundError
    from provreg.errors import NotTrustedError as NotTrustedError
    from provreg.errors import ProvregError as ProvregError
    from provreg.errors import RevokedError as RevokedError
    from provreg.errors import SampleError as SampleError
    from provreg.errors import StorageError as StorageError
    from provreg.errors import UsageError as UsageError
    from provreg.flows.ingest.request import Fetch as Fetch
    from provreg.flows.ingest.request import Ingestion as Ingestion
    from provreg.loaders.load import load as load
    from provreg.loaders.samples import Sample as Sample
    from provreg.loaders.samples import VerifiedSamples as VerifiedSamples
    from provreg.loaders.selection import Selection as Selection
    from provreg.loaders.training import TrainingRun as TrainingRun
    from provreg.loaders.training import training_run as training_run
    from provreg.readers.api import LabelsOptions as LabelsOptions
    from provreg.readers.api import ReadOptions as ReadOptions
    from provreg.registry import Registry as Registry
    from provreg.trust.signers import KeySigner as KeySigner
    from provreg.trust.sigstore.sign import KeylessSigner as KeylessSigner

_HOMES = {
    "provreg.errors": (
        "DamagedError",
        "Finding",
        "FormatError",
        "InputError",
        "NotFetchedError",
        "NotFoundError",
        "NotTrustedError",
        "ProvregError",
        "RevokedError",
        "SampleError",
        "StorageError",
        "UsageError",
    ),
    "provreg.flows.ingest.request": ("Fetch", "Ingestion"),
    "provreg.loaders.load": ("load",),
    "provreg.loaders.samples": ("Sample", "VerifiedSamples"),
    "provreg.loaders.selection": ("Selection",),
    "provreg.readers.api": ("LabelsOptions", "ReadOptions"),
    "provreg.loaders.training": ("TrainingRun", "training_run"),
    "provreg.registry": ("Registry",),
    "provreg.trust.signers": ("KeySigner",),
    "provreg.trust.sigstore.sign": ("KeylessSigner",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("errors", "loaders")

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"provreg.{name}")
    raise AttributeError(f"module 'provreg' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names and modules; not what is imported here to load them."""
    return sorted({"__version__", *_HOME, *_MODULES})
