"""What a publish rule says of a version's content: whose samples, and how much may change."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from provreg.core.encoding.pattern import covers

Origin = Literal["source", "labeler"]


@dataclass(frozen=True, slots=True)
class NameList:
    """Which sources or labelers a version's samples may have, by names or patterns.

    Without `allow` any that `forbid` does not cover. `absent` is whether a sample may have none.
    """

    allow: tuple[str, ...] | None = None
    forbid: tuple[str, ...] = ()
    absent: bool = False

    def takes(self, name: str | None) -> bool:
        """Whether a sample may have it; `forbid` goes before `allow`."""
        if name is None:
            return self.absent
        if covers(self.forbid, name):
            return False
        return self.allow is None or covers(self.allow, name)


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a version may change: at most `share` of the samples before and at most `count`.

    Changes of any of `kinds` are counted, all kinds where it is empty. With `each`, those from each
    source or labeler by themselves; removals then count for nobody. Where at least `unless`
    principals have signed, it does not apply.
    """

    kinds: tuple[str, ...] = ()
    share: Decimal | None = None
    count: int | None = None
    each: Origin | None = None
    unless: int | None = None

    def most(self, samples: int) -> int:
        """The most changes to a version that had so many samples."""
        bounds = [] if self.count is None else [self.count]
        if self.share is not None:
            bounds.append(int(self.share * samples))
        return min(bounds)

    def lifted(self, signed: int) -> bool:
        """Whether so many principals are enough for it not to apply."""
        return self.unless is not None and signed >= self.unless

    @property
    def counted(self) -> str:
        """What is counted, in words: "relabeled or modified"."""
        return " or ".join(self.kinds) or "changed in any way"

    def __str__(self) -> str:
        bounds = [] if self.share is None else [f"{float(self.share * 100):g} %"]
        if self.count is not None:
            bounds.append(f"{self.count:,}")
        origin = f" from each {self.each}" if self.each else ""
        unless = "" if self.unless is None else f", unless {self.unless} sign"
        return f"at most {' and '.join(bounds)} {self.counted}{origin}{unless}"
