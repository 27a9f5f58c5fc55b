"""What runs one function over many small specs: in this process, beside it, or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Spec = TypeVar("Spec")
Result = TypeVar("Result")
# Told of long work: how much is done, and of how much, 0 where that is not known.
Progress = Callable[[int, int], None]


def no_report(*_: object) -> None:
    """The callback of those who want no reports."""


class Executor(Protocol):
    """Work is cut into specs by whoever asks, so that each is worth sending."""

    @property
    def workers(self) -> int:
        """On how many specs it works at once."""
        ...

    def map(
        self, function: Callable[[Spec], Result], specs: Iterable[Spec], *, most: int | None = None
    ) -> Iterator[Result]:
        """`function` of every spec, in order, in up to `most` workers, by default all.

        `function` must be importable (top level) and may run twice on a spec: a worker that is lost
        is replaced and its specs are given out again. Specs and results must pickle, and specs are
        taken only a little ahead of the results that were taken.

        Raises what `function` raised, and StorageError when a spec loses its worker repeatedly.
        What still runs is given up when the iterator is closed.
        """
        ...
