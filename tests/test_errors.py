"""Errors as users of the library see them: a traceback has the hint, once."""

from __future__ import annotations

import pickle
import traceback

import pytest

from provreg.errors import NotTrustedError, ProvregError, SampleError, UsageError


def traceback_of(error: ProvregError) -> list[str]:
    return "".join(traceback.format_exception(error)).splitlines()


def test_traceback_shows_the_hint() -> None:
    error = UsageError("no signer was given", hint="pass --sign key:FILE")
    assert traceback_of(error) == [
        "provreg.errors.UsageError: no signer was given",
        "hint: pass --sign key:FILE",
    ]
    assert str(error) == "no signer was given"


def test_error_without_a_hint_has_no_note() -> None:
    assert traceback_of(UsageError("no")) == ["provreg.errors.UsageError: no"]


def test_added_hint_replaces_the_one_before() -> None:
    error = NotTrustedError("refused", step=7, hint="ask for a signature")
    error.add_note("from elsewhere")
    error.tell_more("the receipt is kept", "sign it later")
    assert traceback_of(error)[1:] == [
        "from elsewhere",
        "hint: sign it later (ask for a signature)",
    ]


def test_pickled_error_shows_its_hint_once() -> None:
    error = SampleError("its bytes differ", sample="cat/1.jpg", hint="restore it from a copy")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    assert traceback_of(again) == traceback_of(error)
    assert traceback_of(again).count("hint: restore it from a copy") == 1


@pytest.mark.parametrize("hint", ["\x1b[2J", "a\nprovreg: all is as signed", "\u202egnp.exe"])
def test_hint_cannot_act_on_the_terminal_of_a_traceback(hint: str) -> None:
    (note,) = UsageError("no", hint=hint).__notes__
    assert note.isprintable()
    assert "\n" not in note
