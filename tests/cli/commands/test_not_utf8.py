"""Arguments, variables, paths and terminals that are not UTF-8: our errors only, escaped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BAD = b"x\xe9y"
TOUR = """
import os, sys
from provreg.cli import main
for number, line in enumerate(open(sys.argv[1], "rb").read().split(b"\\n\\n")):
    sys.argv = ["provreg", *(os.fsdecode(part) for part in line.split(b"\\n"))]
    try:
        main()
    except SystemExit as end:
        print("exit", number, end.code, flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "t/c").mkdir(parents=True)
    (tmp_path / "t/c/1.txt").write_bytes(b"1")
    return tmp_path


def tour(
    place: Path, *commands: list[str | bytes], **variables: str | bytes
) -> tuple[str, list[str]]:
    """What the commands print, one after another in one process, and their exit codes."""
    written = b"\n\n".join(b"\n".join(map(os.fsencode, command)) for command in commands)
    (place / "commands").write_bytes(written)
    (place / "tour.py").write_text(TOUR)
    environment = {b"PATH": os.environb[b"PATH"], b"HOME": os.fsencode(place)}
    for name in ("CACHE", "STATE", "CONFIG", "REGISTRY"):
        environment[b"PROVREG_" + name.encode()] = os.fsencode(place / name.lower())
    environment |= {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
    ran = subprocess.run(
        [sys.executable, "tour.py", "commands"],
        cwd=place,
        env=environment,
        capture_output=True,
        check=False,
    )
    said = (ran.stdout + ran.stderr).decode("utf-8")
    assert "Traceback" not in said, said
    codes = [line.split()[2] for line in said.splitlines() if line.startswith("exit ")]
    assert len(codes) == len(commands), said
    return said, codes


SETUP: tuple[list[str | bytes], ...] = (
    ["init", "registry"],
    ["key", "generate", "--out", "k.key", "--no-passphrase"],
    ["ingest", "t", "--name", "d", "--source", "s", "--sign", "key:k.key"],
)
INGEST: list[str | bytes] = ["ingest", "t", "--name", "d", "--sign", "key:k.key"]


def test_arguments_that_are_not_utf8_are_our_errors(place: Path) -> None:
    said, codes = tour(
        place,
        *SETUP,
        [*INGEST, "--source", BAD],
        [*INGEST, "--source", "s", "--labeler", BAD],
        [*INGEST, "--source", "s", "--message", BAD],
        [*INGEST, "--source", "s", "--exclude", BAD],
        ["ingest", "t", "--name", BAD, "--source", "s", "--sign", "key:k.key"],
        ["blame", "d", BAD, "--key", "k.key.pub"],
        ["sql", b"select '" + BAD + b"'"],
        ["revoke", "d", "--reason", BAD, "--sign", "key:k.key"],
        ["revoke", "d", "--labeler", BAD, "--reason", "x", "--sign", "key:k.key"],
        [BAD],
    )
    assert codes == ["0"] * 3 + ["2"] * 10, said
    assert "'x\\udce9y' is not UTF-8" in said


def test_paths_that_are_not_utf8_are_read_and_written(place: Path) -> None:
    folder = os.fsdecode(BAD)
    (place / folder).mkdir()
    (place / "t").rename(place / folder / "t")
    data = BAD + b"/t"
    said, codes = tour(
        place,
        *SETUP[:2],
        ["ingest", data, "--name", "d", "--source", "s", "--sign", "key:k.key"],
        ["verify", "d", "--data", data, "--key", "k.key.pub"],
        ["diff", "d", b"./" + data, "--key", "k.key.pub"],
        ["log", "d", "--key", "k.key.pub"],
        PROVREG_CACHE=os.fsencode(place) + b"/" + BAD + b"/cache",
        PROVREG_STATE=os.fsencode(place) + b"/" + BAD + b"/state",
        PROVREG_CONFIG=os.fsencode(place) + b"/" + BAD + b"/config",
    )
    # DuckDB opens no such file.
    assert codes == ["0"] * 5 + ["2"], said
    assert "the path of the index, in the cache," in said


def test_terminal_that_cannot_show_what_is_signed_gets_escapes(place: Path) -> None:
    (place / "t/c").rename(place / "t/é")
    said, codes = tour(
        place,
        *SETUP,
        ["diff", "d", "./commands", "--key", "k.key.pub"],
        ["verify", "d", "--data", "t/é", "--key", "k.key.pub"],
        PYTHONIOENCODING="ascii",
        LC_ALL="C",
    )
    assert said.isascii()
    assert "\\xe9/1.txt" in said
    assert codes[:3] == ["0"] * 3, said
