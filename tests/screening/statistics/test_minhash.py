"""MinHash signatures against sets of shingles, counted one by one."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.screening.statistics import minhash
from provreg.screening.statistics.minhash import (
    PERMUTATIONS,
    SHINGLE,
    folded,
    shingle_hashes,
    signatures,
    similarity,
)

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("abcab \n.,-"), max_size=60)


def _shingles(text: str) -> set[str]:
    letters = folded(text)
    return {letters[at : at + SHINGLE] for at in range(len(letters) - SHINGLE + 1)}


def _jaccard(a: str, b: str) -> float:
    one, other = _shingles(a), _shingles(b)
    return len(one & other) / len(one | other)


def _estimated(a: str, b: str) -> float:
    words, seen = signatures([a, b], 2)
    assert seen.all()
    one, other = words.view(np.uint8).reshape(2, PERMUTATIONS)
    return similarity(int((one == other).sum()))


def _letters(chance: np.random.Generator, count: int) -> str:
    return "".join(chance.choice(list(string.ascii_lowercase), count))


def _slow(text: str) -> list[int]:
    """The signature by the definition: a minimum over a set, permutation by permutation."""
    codes = [np.array([ord(letter) for letter in shingle], "<u4") for shingle in _shingles(text)]
    hashes = [int(shingle_hashes(code)[0]) for code in codes]
    minima = [min(value * int(f) % 2**64 for value in hashes) for f in minhash._FACTORS]
    kept = bytes((minimum >> 28) % 256 for minimum in minima)
    return [int.from_bytes(kept[at : at + 8], "little") for at in range(0, PERMUTATIONS, 8)]


@given(st.lists(TEXT, min_size=1, max_size=6))
def test_signatures_are_minima_over_sets_of_shingles(texts: list[str]) -> None:
    words, seen = signatures(texts, len(texts))
    for text, signature, has in zip(texts, words.tolist(), seen.tolist(), strict=True):
        assert has == bool(_shingles(text))
        if has:
            assert signature == _slow(text)


def test_pieces_of_long_texts_are_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(3)
    texts = ["".join(chance.choice(list("abc .\u0430"), k)) for k in (0, 3, 9, 700, 5, 64, 301)]
    whole = signatures(texts, len(texts))
    for piece, block in ((1, 1), (7, 50), (64, 64)):
        monkeypatch.setattr(minhash, "_PIECE", piece)
        monkeypatch.setattr(minhash, "_BLOCK", block)
        for one, other in zip(whole, signatures(texts, len(texts)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_similarity_is_that_of_the_sets() -> None:
    chance = np.random.default_rng(7)
    errors = []
    for _ in range(300):
        a = _letters(chance, int(chance.integers(50, 800)))
        cut = int(chance.integers(len(a)))
        b = a[:cut] + _letters(chance, int(chance.integers(400)))
        errors.append(_estimated(a, b) - _jaccard(a, b))
    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < 0.045
    assert np.abs(errors).max() < 0.18


def test_unlike_texts_share_no_band() -> None:
    chance = np.random.default_rng(11)
    texts = [_letters(chance, 200) for _ in range(2000)]
    words, _ = signatures(texts, len(texts))
    assert all(len(np.unique(band)) == len(texts) for band in words.T)


def test_permutations_differ() -> None:
    """With factors of 32 bits, the same shingle has the minimum of all."""
    chance = np.random.default_rng(13)
    hashes = shingle_hashes(chance.integers(97, 123, 500).astype("<u4"))
    least = {int(np.argmin(hashes * factor)) for factor in minhash._FACTORS}
    assert len(least) > 80
    assert len(set(minhash._FACTORS.tolist())) == PERMUTATIONS
    assert (minhash._FACTORS % 2 == 1).all()


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Hello, World!", "hello world"),
        ("hello world", "h\u0435ll\u043e w\u043erld"),  # Cyrillic letters
        ("hello world", "hel\u200blo wo\u00adrld"),  # what shows nothing
        ("hello world", "h e l l o  w o r l d"),
        ("hello world", "\uff48\uff45\uff4c\uff4c\uff4f world"),  # full width
        ("caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me"),
    ],
)
def test_attack_letters_that_look_alike_are_one(text: str, other: str) -> None:
    assert folded(text) == folded(other)


def test_texts_without_a_shingle_have_no_signature() -> None:
    assert signatures(["", "abcd", "a-b!c?d", "abcde"], 4)[1].tolist() == [False] * 3 + [True]
    assert signatures([], 0)[0].shape == (0, 16)
