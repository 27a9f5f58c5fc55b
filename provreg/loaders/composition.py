"""The verified samples in datasets as people compose them: subsets, concatenations, conversions.

Frameworks are looked up among the loaded modules: a dataset of one that is not loaded cannot exist.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from provreg.core.encoding.text import quoted
from provreg.errors import UsageError
from provreg.loaders.passes.conversion import converted
from provreg.loaders.samples import VerifiedSamples

if TYPE_CHECKING:
    from provreg.loaders.passes.matching import Rows

_SHOWN = 20


class RunInput(NamedTuple):
    """Samples that a run can receive; `held` are the manifest rows that a dataset in memory already
    has, None if samples are read when they are asked for."""

    samples: VerifiedSamples
    held: Rows | None = None


def inputs_of(dataset: Any) -> Iterator[RunInput]:
    """What `dataset` is composed of.

    Raises UsageError for datasets that do not read through provreg, and for concatenated ones that
    give a class different indices.
    """
    pending, visited = [dataset], set[int]()
    while pending:
        part = pending.pop(0)
        if id(part) in visited:
            continue
        visited.add(id(part))
        samples = part if isinstance(part, VerifiedSamples) else getattr(part, "verified", None)
        if isinstance(samples, VerifiedSamples):
            yield RunInput(samples)
        elif (conversion := _converted(part)) is not None:
            yield RunInput(*conversion)
        elif parts := _parts(part):
            check_class_indices(part)
            pending = [*parts, *pending]
        else:
            raise UsageError(
                f"{quoted(type(part).__name__)} is not a dataset that provreg can record",
                hint=_hint(part),
            )


def check_class_indices(*datasets: Any) -> None:
    """Raises UsageError if parts of a concatenation give a class different indices."""
    indices: dict[str, tuple[int, Any]] = {}
    classes: dict[int, tuple[str, Any]] = {}
    for part in _concatenated(datasets):
        for name, index in part.class_to_idx.items():
            other_index, other = indices.setdefault(name, (index, part))
            if other_index != index:
                raise _conflict(
                    f"class {quoted(name)} has index {other_index} in"
                    f" {other.verified.reference}, {index} in {part.verified.reference}",
                    (other, part),
                )
        for name, index in part.class_to_idx.items():
            other_name, other = classes.setdefault(index, (name, part))
            if other_name != name:
                raise _conflict(
                    f"index {index} is class {quoted(other_name)} in {other.verified.reference},"
                    f" {quoted(name)} in {part.verified.reference}",
                    (other, part),
                )


def _conflict(what: str, parts: Iterable[Any]) -> UsageError:
    union = list(dict.fromkeys(name for part in parts for name in part.class_to_idx))
    shown = ", ".join(map(repr, map(str, union[:_SHOWN]))) + ", …" * (len(union) > _SHOWN)
    shared = set.intersection(*(set(part.class_to_idx) for part in parts)) == set(union)
    return UsageError(
        f"the concatenated datasets have different class indices: {what}",
        hint=f"choose the same classes in each: classes=[{shown}]"
        if shared
        else "choose classes that both have with classes=[…] in each, or map the indices of each"
        " with target_transform=",
    )


def _concatenated(datasets: Iterable[Any]) -> Iterator[Any]:
    """The datasets with class indices in concatenations, without those that map their indices."""
    pending = list(datasets)
    while pending:
        part = pending.pop(0)
        if hasattr(part, "verified") and hasattr(part, "class_to_idx"):
            if getattr(part, "target_transform", None) is None:
                yield part
        elif not isinstance(part, _torch("StackDataset")):
            pending = [*_parts(part), *pending]


def _parts(dataset: Any) -> list[Any]:
    """What a dataset of a framework reads from; empty for other datasets."""
    if isinstance(dataset, _torch("Subset", "DataLoader")):
        return [dataset.dataset]
    if isinstance(dataset, _torch("ConcatDataset", "ChainDataset", "StackDataset")):
        parts = dataset.datasets
        # A ChainDataset of a generator cannot be looked into without using it up.
        known = isinstance(parts, list | tuple | dict)
        return list(parts.values() if isinstance(parts, dict) else parts) if known else []
    if isinstance(dataset, _hugging_face("DatasetDict")):
        return list(dataset.values())
    return []


def _converted(dataset: Any) -> tuple[VerifiedSamples, Rows] | None:
    if not isinstance(dataset, _hugging_face("Dataset")):
        return None
    mark = getattr(dataset.info, "conversion", None)
    # `datasets` has no public name for the rows that it selects.
    indices = dataset._indices
    return converted(mark, dataset.data.table, None if indices is None else indices.table)


def _hint(dataset: Any) -> str:
    if isinstance(dataset, _hugging_face("Dataset", "IterableDataset")):
        return (
            "make it with provreg.loaders.huggingface.dataset; if it is made from such datasets,"
            " pass those: training_run(first, second)"
        )
    if isinstance(dataset, Mapping | list | tuple):
        return "pass each dataset by itself: training_run(first, second)"
    return (
        "pass the datasets of provreg that it reads from, which count what they deliver:"
        " training_run(first, second)"
    )


def _torch(*names: str) -> tuple[type[Any], ...]:
    return _classes("torch.utils.data", names)


def _hugging_face(*names: str) -> tuple[type[Any], ...]:
    return _classes("datasets", names)


def _classes(module: str, names: Iterable[str]) -> tuple[type[Any], ...]:
    """The classes of a module with these names; none if it is not loaded."""
    loaded = sys.modules.get(module)
    found = (getattr(loaded, name, None) for name in names)
    return tuple(kind for kind in found if isinstance(kind, type))
