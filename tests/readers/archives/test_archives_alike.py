"""Archives as provreg, plain readers and other packages read them: `tests.fuzz_archives`, for a
few seconds and from the same seeds each time."""

from __future__ import annotations

from collections import Counter

from tests.fuzz_archives import one


def test_whatever_is_taken_in_is_the_same_to_other_readers() -> None:
    counts = Counter(one(seed) for seed in range(1200))
    # A check of archives that are all refused would be none.
    taken = {outcome: counts[outcome] for outcome in ("tar read", "tar sampled", "zip read")}
    assert min(taken.values()) > 30, counts
    assert counts["tar refused"] > 100
    assert counts["zip refused"] > 100


def test_archives_in_which_other_readers_once_differed() -> None:
    for seed in (7144, 8442, 11292):
        one(seed)
