"""The ranks of a distributed training run, from torch.distributed or its launcher."""

from __future__ import annotations

import os
import sys
import zlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from provreg.errors import UsageError
from provreg.loaders.passes.shared_state import add_counts

Counts = dict[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rank `number` of `of`; 0 of 1 without distribution."""

    number: int = 0
    of: int = 1

    @classmethod
    def find(cls) -> Self:
        """The ranks of the default process group, if torch is loaded and has one."""
        group = _distributed()
        return cls() if group is None else cls(group.get_rank(), group.get_world_size())

    @classmethod
    def launched(cls) -> Self:
        """As `find`; without a group, from its launcher's variables (RANK, WORLD_SIZE)."""
        if _distributed() is None:
            number, of = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
            if number.isdecimal() and of.isdecimal():
                return cls(int(number), int(of))
        return cls.find()

    @property
    def first(self) -> bool:
        """Whether this rank publishes."""
        return self.number == 0

    def gather(self, counts: Counts) -> Counts | None:
        """The counts of all ranks together in the first of them, None in the others.

        All ranks must call it. Raises UsageError if the process group is gone.
        """
        if self.of == 1:
            return counts
        group = _distributed()
        if group is None:
            raise UsageError(
                "the process group was destroyed before the ranks' counts were gathered",
                hint="end the block of the training run first",
            )
        received: list[Any] = [None] * self.of
        mine = {digest: zlib.compress(found.tobytes(), 1) for digest, found in counts.items()}
        group.all_gather_object(received, mine)
        if not self.first:
            return None
        total: Counts = {}
        for theirs in received:
            for digest, packed in theirs.items():
                found = np.frombuffer(zlib.decompress(packed), np.uint8)
                total[digest] = add_counts(total[digest], found) if digest in total else found
        return total


class OwnRank:
    """The rank of the current process, not of the one that made this; or always `given`.

    Spawned workers know no ranks: pickling sends them the rank of their parent.
    """

    def __init__(self, given: Ranks | None = None) -> None:
        self._given = given
        self._sent = Ranks()

    def __getstate__(self) -> dict[str, Any]:
        return {"_given": self._given, "_sent": self.now}

    @property
    def now(self) -> Ranks:
        """The rank. Raises UsageError if the launcher's is out of range."""
        if self._given is not None:
            return self._given
        launched = Ranks.launched()
        if not launched.number < max(1, launched.of):
            raise UsageError(f"rank {launched.number} is out of range for world size {launched.of}")
        return launched if launched.of > 1 else self._sent


def _distributed() -> Any:
    """torch.distributed, if it is loaded and has a process group."""
    group = sys.modules.get("torch.distributed")
    return group if group is not None and group.is_available() and group.is_initialized() else None
