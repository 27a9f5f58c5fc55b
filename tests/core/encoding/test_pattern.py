"""Patterns of identities keep within their segments; names have none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.pattern import covers, matches, overlap

WORKFLOW = "https://github.com/o/r/.github/workflows/release.yml"


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        (f"{WORKFLOW}@refs/heads/main", f"{WORKFLOW}@refs/heads/main", True),
        (f"{WORKFLOW}@refs/heads/*", f"{WORKFLOW}@refs/heads/main", True),
        (f"{WORKFLOW}@refs/heads/*", f"{WORKFLOW}@refs/heads/a/b", False),
        (f"{WORKFLOW}@refs/heads/*", f"{WORKFLOW}@refs/tags/main", False),
        (f"{WORKFLOW}@refs/**", f"{WORKFLOW}@refs/heads/a/b@c", True),
        (f"{WORKFLOW}@refs/**", f"{WORKFLOW}@refs/", False),
        (f"{WORKFLOW}@refs/**", f"{WORKFLOW}@refs", False),
        ("https://github.com/o/*/x", "https://github.com/o/r/x", True),
        ("https://github.com/o/*/x", "https://github.com/o/r/s/x", False),
        ("*@example.org", "ann@example.org", True),
        ("*@example.org", "ann@evil.example@example.org", False),
        ("*@example.org", "ann@example.org.evil", False),
        ("a?@example.org", "ab@example.org", True),
        ("a?@example.org", "a@example.org", False),
        ("spiffe://d/[ab]*", "spiffe://d/a", False),
        ("spiffe://d/[ab]*", "spiffe://d/[ab]c", True),
        ("spiffe://d/A*", "spiffe://d/a", False),
    ],
)
def test_patterns_match_whole_identities(pattern: str, text: str, matched: bool) -> None:
    assert matches(pattern, text) is matched


def test_a_branch_named_like_another_workflow_is_not_that_workflow() -> None:
    """Who may push a branch chooses its name, `@` and slashes included."""
    branch = "x/.github/workflows/release.yml@refs/heads/main"
    evil = f"https://github.com/o/r/.github/workflows/evil.yml@refs/heads/{branch}"
    for pattern in (
        "https://github.com/o/*/.github/workflows/release.yml@refs/heads/main",
        "https://github.com/o/r/.github/workflows/*@refs/heads/main",
        "https://github.com/o/r/.github/workflows/rel*.yml@refs/heads/*",
    ):
        assert matches(pattern, f"{WORKFLOW}@refs/heads/main")
        assert not matches(pattern, evil)


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a", "ba", False),
        ("a*", "a", True),
        ("a*", "a.b-c_d", True),
        ("*a", "ba", True),
        ("*", "anything", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("*a" * 60, "a" * 59 + "b" * 69, False),
    ],
)
def test_patterns_of_names_match_whole_names(pattern: str, name: str, covered: bool) -> None:
    assert covers((pattern,), name) is covered


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a*", "*b", True),
        ("a*c", "ab?", True),
        ("a*c", "ab", False),
        ("x/**", "x/y/z", True),
        ("x/**", "x/y/**", True),
        ("x/**", "y/**", False),
        ("x/**", "x/*", True),
        ("x/**", "x/", False),
        ("x/**", "x", False),
        ("x/*", "x/y/z", False),
        ("*@x", "a/b", False),
    ],
)
def test_overlap_is_told(one: str, other: str, shared: bool) -> None:
    assert overlap(one, other) is shared
    assert overlap(other, one) is shared


texts = st.text(alphabet="ab/@", max_size=6)
patterns = st.builds(
    str.__add__, st.text(alphabet="ab*?/@", max_size=6), st.sampled_from(["", "/**", "@**"])
).filter(lambda text: "**" not in text[:-2])


@given(one=patterns, other=patterns, text=texts)
def test_what_two_patterns_match_is_an_overlap(one: str, other: str, text: str) -> None:
    if matches(one, text) and matches(other, text):
        assert overlap(one, other)


@given(pattern=patterns, text=texts)
def test_a_text_overlaps_exactly_the_patterns_that_match_it(pattern: str, text: str) -> None:
    assert overlap(pattern, text) is matches(pattern, text)
