"""Spans of time are one number and a unit."""

from datetime import timedelta

import pytest

from provreg.core.encoding.times import format_duration, parse_duration
from provreg.errors import FormatError


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("1m", timedelta(minutes=1), "1 minute"),
        ("90m", timedelta(minutes=90), "90 minutes"),
        ("120m", timedelta(hours=2), "2 hours"),
        ("12h", timedelta(hours=12), "12 hours"),
        ("24h", timedelta(days=1), "1 day"),
        ("90d", timedelta(days=90), "90 days"),
        ("2w", timedelta(days=14), "14 days"),
    ],
)
def test_a_span_is_read_and_said(text: str, span: timedelta, words: str) -> None:
    assert parse_duration(text) == span
    assert format_duration(span) == words


@pytest.mark.parametrize(
    "text", ["", "d", "1", "0d", "01d", "-1d", "1.5d", "1 d", "1D", "1y", "1d\n", "1d1h", "\u0661d",
             "100000d"],
)  # fmt: skip
def test_anything_else_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_duration(text)
    assert "90d" in caught.value.hint
