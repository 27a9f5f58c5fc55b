"""Alternatives for names that do not exist: found by spelling, in bounded time."""

from __future__ import annotations

import time

from provreg.core.encoding.similar import did_you_mean, similar_names


def test_names_are_found_by_spelling_whatever_their_case() -> None:
    names = ["cifar10", "cifar100", "mnist", "Pets"]
    assert similar_names("cifar01", names)[0] in {"cifar10", "cifar100"}
    assert similar_names("PETS", names) == ["Pets"]
    assert similar_names("imagenet", names) == []


def test_hint_begins_with_the_question() -> None:
    assert did_you_mean(["a", "b"]) == "did you mean 'a' or 'b'? "
    assert did_you_mean([]) == ""


def test_control_characters_of_others_are_escaped() -> None:
    assert did_you_mean(["a\x1b[2J"]) == "did you mean 'a\\x1b[2J'? "


def test_many_long_names_of_others_take_no_long_time() -> None:
    hostile = ("ab" * 79 + str(number) for number in range(10**7))
    begin = time.process_time()
    similar_names("ba" * 80, hostile)
    similar_names("x" * 10**6, ["x" * 10**6])
    assert time.process_time() - begin < 20
