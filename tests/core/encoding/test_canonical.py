from __future__ import annotations

import json
from contextlib import suppress

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.canonical import canonical, format_number, parse_canonical, parse_json
from provreg.errors import FormatError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def parse(data: bytes) -> object:
    return parse_json(data, what="it", limit=1000)


@given(DOCUMENTS)
def test_canonical_bytes_are_read_back(document: object) -> None:
    assert parse_canonical(canonical(document), what="it", limit=1 << 20) == document


@given(DOCUMENTS)
def test_the_order_of_keys_does_not_change_canonical_bytes(document: object) -> None:
    shuffled = json.loads(json.dumps(document, sort_keys=True))
    assert canonical(shuffled) == canonical(document)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b'"\xff"',
        b'"\\ud800"',
        b'{"\\udfff":1}',
        b"\xef\xbb\xbf{}",
        b"{",
        b"",
        b"1 2",
        b"[" * 100 + b"]" * 100,
        b"[" * 499 + b"]" * 499,
        b"1" * 999,
        b'"' + b"x" * 1000 + b'"',
    ],
)
def test_json_that_two_parsers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse(data) if data != b"1" * 999 else canonical(parse(data))


def test_escaped_pairs_of_surrogates_are_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("opened", [b"[", b'{"":', b'[{"":'])
def test_documents_are_64_levels_deep_at_most(opened: bytes) -> None:
    closed = opened.replace(b'"":', b"")[::-1].translate(bytes.maketrans(b"[{", b"]}"))
    times, more = divmod(63, len(closed))
    inner = b"[" * more + b"0" + b"]" * more
    parse(opened * times + inner + closed * times)
    parse(b"[" + b"[]," * 99 + b"0]")
    with pytest.raises(FormatError, match="deeper"):
        parse(b"[" + opened * times + inner + closed * times + b"]")


@given(st.binary(max_size=60))
def test_parsing_raises_our_errors_only(data: bytes) -> None:
    with suppress(FormatError):
        parse(data)


def test_bytes_that_are_not_canonical_are_refused() -> None:
    with pytest.raises(FormatError, match="canonical"):
        parse_canonical(b'{"b":1, "a":2}', what="it", limit=100)


@pytest.mark.parametrize("document", [2**53, float("nan"), "\ud800", {"\udfff": 1}])
def test_what_canonical_json_cannot_hold_is_refused(document: object) -> None:
    with pytest.raises(FormatError):
        canonical(document)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = TEXT | st.sampled_from(["a", "A", "b", "aa", "\ue000", "\U0001f600"])
ANYTHING = st.recursive(
    DOCUMENTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING)
def test_canonical_bytes_are_those_of_the_rfc(document: object) -> None:
    assert canonical(document) == rfc8785.dumps(document)  # type: ignore[arg-type]


def test_every_character_is_escaped_as_the_rfc_does() -> None:
    characters = [chr(code) for code in (*range(0x300), 0x2028, 0xFEFF, 0xFFFF, 0x1F600)]
    assert canonical(characters) == rfc8785.dumps(characters)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_as_the_rfc_says_but_for_minus_zero(value: float) -> None:
    text = format_number(value)
    assert text == ("-0" if str(value) == "-0.0" else rfc8785.dumps(value).decode())
    assert float(text) == value


@pytest.mark.parametrize("inner", [b"1", b'"x"', b"null", b"true"])
def test_scalar_has_a_level_however_few_brackets_there_are(inner: bytes) -> None:
    sound = b"[" * 63 + inner + b"]" * 63
    assert parse_json(sound, what="x", limit=1000) == json.loads(sound)
    assert parse_json(b"[" * 64 + b"]" * 64, what="x", limit=1000) is not None
    for deep in (b"[" + sound + b"]", b"[[]," + sound + b"]", b'{"a":' + sound + b"}"):
        with pytest.raises(FormatError, match="deeper"):
            parse_json(deep, what="x", limit=1000)
