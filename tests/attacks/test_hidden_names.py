"""Names that hold what nobody sees, and texts that hide or act where they are shown."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING

import pytest

from provreg.core.encoding.names import is_class_name, name_complaint
from provreg.core.encoding.text import UNSEEN, printable
from provreg.errors import FormatError, InputError
from provreg.flows.sign.scope import Scope

if TYPE_CHECKING:
    from tests.conftest import Bench

HIDDEN = {
    "a zero-width space": "\u200b",
    "a joiner": "\u200d",
    "a bidirectional override": "\u202e",
    "a tag": "\U000e0061",
    "a variation selector": "\ufe0f",
    "a later variation selector": "\U000e0100",
    "a Hangul filler": "\u3164",
    "a Hangul initial filler": "\u115f",
    "a halfwidth filler": "\uffa0",
    "a soft hyphen": "\u00ad",
    "a grapheme joiner": "\u034f",
    "a blank pattern of Braille": "\u2800",
    "a note without a head": "\U0001d159",
    "a filler of Khitan": "\U00016fe4",
    "private use": "\ue000",
    "an escape": "\x1b",
    "a line separator": "\u2028",
    "no character": "\U0001ffff",
}


@pytest.mark.parametrize("what", HIDDEN)
@pytest.mark.parametrize("column", ["source", "labeler", "split"])
def test_a_name_that_holds_what_is_not_seen_does_not_come_in(
    bench: Bench, column: str, what: str
) -> None:
    name = f"fa{HIDDEN[what]}y"
    rows = json.dumps({"id": "cat/1.jpg", column: name})
    labels = bench.write("labels", {"l.jsonl": rows + "\n"}) / "l.jsonl"
    with pytest.raises(InputError, match="a hidden character") as caught:
        bench.ingest(bench.pets(), labels=labels)
    assert caught.value.sample == "cat/1.jpg"
    assert HIDDEN[what] not in caught.value.message
    assert bench.open().workspace.versions.numbers("pets") == []


@pytest.mark.parametrize("name", [" fay", "fay ", "fay\u00a0", "rene\u0301"])
def test_a_name_that_seems_another_does_not_come_in(bench: Bench, name: str) -> None:
    with pytest.raises(InputError, match=r"blank|normalization"):
        bench.ingest(bench.pets(), labeler=name)


def test_a_name_that_holds_what_is_not_seen_is_not_revoked(bench: Bench) -> None:
    bench.ingest(bench.pets())
    samples = Scope(labeler="fa\u200by")
    with pytest.raises(FormatError, match="a hidden character"):
        bench.open(revoke=("chief",)).revoke("pets", "r", bench.signer("chief"), samples=samples)


def test_every_default_ignorable_and_every_other_format_character_is_in_the_table() -> None:
    """By the properties of the Unicode that Python has; format characters that are seen are not."""
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD,
            *range(0x13430, 0x13440)}  # fmt: skip
    blank = {0x2800, 0x3164, 0xFFA0, 0x115F, 0x1160, 0x1D159}
    for code in range(0x110000):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} and code not in seen:
            assert UNSEEN.match(character), hex(code)
        elif kind[0] in "LNPS" and code not in blank:
            assert not UNSEEN.match(character), hex(code)


@pytest.mark.parametrize("name", [
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: I want
    "\u062e\u0627\u0646\u0647\u200c\u0627\u06cc",  # Persian: of a house
    "\u0915\u094d\u200d\u0937", "\u0915\u094d\u200c\u0937",  # Hindi
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308",
    "\U0001f469\U0001f3fd\u200d\U0001f4bb", "\u2764\ufe0f", "#\ufe0f\u20e3",
    "caf\u00e9", "cafe\u0301", "", " cat ", "\u05d7\u05ea\u05d5\u05dc",
])  # fmt: skip
def test_classes_are_named_as_people_write(name: str) -> None:
    assert is_class_name(name)


@pytest.mark.parametrize("name", [
    "ca\u200dt", "ca\u200ct", "cat\ufe0f", "\u200dcat", "\u0645\u200c", "\u200c\u0645",
    "\u0627\u200c\u0645",
    "\U0001f468\u200d", "\u200d\U0001f468", "1\ufe0f", "cat\u200b", "\u3164", "\ufe0f",
    "\u0915\u094d\u200d\u200d\u0937", "\u2764\ufe0f\ufe0f",
])  # fmt: skip
def test_a_class_with_a_joiner_that_joins_nothing_is_none(name: str) -> None:
    assert not is_class_name(name)


def test_a_label_that_hides_is_no_class_beside_the_one_that_it_seems(bench: Bench) -> None:
    bench.ingest(bench.pets())
    labels = bench.write("labels", {"l.csv": "id,label\ncat/1.jpg,dog\u200b\n"}) / "l.csv"
    with pytest.raises(InputError, match="cannot be a class") as caught:
        bench.ingest(bench.pets(), labels=labels)
    assert caught.value.sample == "cat/1.jpg"


def test_labels_that_are_texts_keep_their_bytes(bench: Bench) -> None:
    text = "so\u00adft \u200bhidden\ufe0f"
    labels = bench.write("labels", {"l.csv": f"id,label\ncat/1.jpg,{text}\n"}) / "l.csv"
    outcome = bench.ingest(bench.pets(), labels=labels)
    assert outcome.head is not None
    assert outcome.head.label_type == "text"
    entries = bench.open().verify("pets").entries
    assert text in entries.column("label").to_pylist()
    shown = bench.run("show", "pets", "cat/1.jpg", "--key", bench.key_file())
    assert shown.returncode == 0
    assert b"so\\xadft \\u200bhidden\\ufe0f" in shown.stdout
    made = bench.run("sql", "select label from entries where id = 'cat/1.jpg'", "--json")
    assert UNSEEN.search(made.stdout.decode().replace("\n", "")) is None
    assert text in json.dumps(json.loads(made.stdout), ensure_ascii=False)


@pytest.mark.parametrize("what", HIDDEN)
def test_what_is_not_seen_is_escaped_wherever_it_is_printed(what: str) -> None:
    shown = printable(f"a{HIDDEN[what]}b")
    assert shown.isascii()
    assert shown != "ab"
    assert name_complaint(shown) is None
