"""Text from outside must not act on a terminal, forge lines of output or break a machine's reader.

Everything goes through the real command line, and its bytes are looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Bench

# CSI clear screen, OSC title, C1 CSI, right-to-left override, carriage return, a forged line.
EVIL = "x\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil\r\nFORGED pets@1 is verified"
# C0 but line feed, DEL, C1 in UTF-8, bidirectional controls, line and paragraph separators.
RAW = re.compile(
    rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae\x8e\x8f]|\xe2\x81[\xa6-\xa9]"
)


@pytest.fixture
def poisoned(bench: Bench) -> Path:
    """Two versions whose every free text is hostile; names cannot be. Returns the changed data."""
    data = bench.write("data", {"a.txt": b"1", "b.txt": b"2"})
    labels = bench.folder / "labels.jsonl"

    def say(**more: str) -> None:
        rows = [{"id": name, "label": EVIL, "source": "\u6e90", "labeler": "ren\u00e9"} | more
                for name in ("a.txt", "b.txt")]  # fmt: skip
        labels.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    from provreg.readers.api import ReadOptions

    say()
    how = ReadOptions(label="none")
    bench.ingest(data, labels=labels, options=how, message=EVIL)
    say(label=EVIL + "2")
    bench.write("data", {"c.txt": b"3"})
    bench.ingest(data, labels=labels, message=EVIL)
    (data / "a.txt").write_bytes(b"changed")
    (data / ("evil\x1b[2J\u202e.txt")).write_bytes(b"stranger")
    return data


COMMANDS = [
    ["log", "pets"],
    ["ls"],
    ["show", "pets"],
    ["show", "pets", "a.txt"],
    ["diff", "pets@1", "pets@2"],
    ["diff", "pets@1", "DATA"],
    ["blame", "pets", "-v"],
    ["blame", "pets", EVIL],
    ["blame", "pets", "a.txtt"],
    ["blame", "pets", "--by", "labeler"],
    ["show", "pets", "--ids"],
    ["show", "pets", "--ids", "--where", f"label = '{EVIL}'"],
    ["ls", "--versions"],
    ["verify", "pets", "--data", "DATA"],
    ["verify", EVIL],
    ["sql", "select * from entries"],
    ["sql", "select * from changes"],
    ["sql", f"select '{EVIL}'"],
    ["sql", f'select 1 as "{EVIL}"'],
    ["check"],
    ["log", EVIL],
    [EVIL],
]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_no_command_prints_a_control_character(bench: Bench, poisoned: Path, as_json: bool) -> None:
    key = bench.key_file()
    strangers = {
        "datasets/pets/versions/\x1b[2J": b"x",
        "datasets/pets/versions/00000009.json": b"x",
    }
    for name, data in strangers.items():
        bench.overwrite(bench.registry / name, data)
    bench.overwrite(bench.registry / "datasets/pets/versions/\u202e\x9b", b"x")

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        arguments = [str(poisoned) if word == "DATA" else word for word in command]
        if command[0] not in ("check", EVIL):
            arguments += ["--key", str(key)]
        return bench.run(*arguments, *(["--json"] if as_json else []))

    for command in COMMANDS:
        ran = run(command)
        said = ran.stdout + ran.stderr
        assert said, command
        assert b"Traceback" not in said, (command, said)
        assert not (found := RAW.search(said)), (command, found, said)
        assert not re.search(rb"^FORGED", said, re.MULTILINE), (command, said)
        if as_json:
            json.loads(ran.stdout)


def test_machines_get_the_texts_as_they_are(bench: Bench, poisoned: Path) -> None:
    ran = bench.run("show", "pets", "b.txt", "--json", "--key", bench.key_file())
    assert json.loads(ran.stdout)["entry"]["label"] == EVIL + "2"
