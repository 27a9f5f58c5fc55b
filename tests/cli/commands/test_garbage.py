"""Whatever is typed: an exit code of docs/reference/cli.md, and never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.cli.app import command_line

Run = Callable[..., Any]
CODES = {0, 1, 2, 3, 4, 5, 6}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


# The demo takes a minute and is no reader of hostile input.
COMMANDS = {path: command for path, command in commands(command_line()) if path != ("demo",)}
# These make provreg ask a Sigstore on the network for its keys.
ONLINE = {"--staging", "--identity"}
# Nothing here may name a place outside of the test's own folder.
TEXT = st.text(
    st.characters(exclude_characters="\x00/~.", exclude_categories=["Cs"]), max_size=12
) | st.text(st.sampled_from("a@:-_*?[]{}'\"=;,\\ \n\x1b\u202e\x9b0é\udce9"), max_size=8)
KNOWN = st.sampled_from(
    [
        "pets", "pets@1", "pets@2", "pets@latest", "pets@99999999", "pets@sha256:" + "0" * 64,
        "cat/1.txt", "dog/evil.txt", "data", "bad", "./data", "./bad", "both.toml", "ann.key",
        "ann.key.pub", "key:ann.key", "key:both.toml", "key:data", "none", "dir", "csv", "folder",
        "parquet", "x:int", "x:list<", "select 1", "select * from entries", "select", "p256",
        ".provreg", "out/new", "-", "--", "",
    ]
)  # fmt: skip


def arguments_of(path: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """Mostly what the command takes, with any values; sometimes anything."""
    value = KNOWN | TEXT
    options, positions = [], []
    for one in COMMANDS[path].params:
        if one.param_type_name == "argument":
            positions.append(value)
        elif one.opts[0] in ONLINE:
            continue
        elif one.is_flag:
            options.append(st.just([one.opts[0]]))
        elif "--help" not in one.opts:
            options.append(value.map(lambda text, name=one.opts[0]: [name, text]))
    options.append(st.lists(value | st.sampled_from(["--nope", "-"]), max_size=2))
    chosen = st.lists(st.one_of(options), max_size=4).map(lambda lists: list(chain(*lists)))
    return st.builds(lambda given, more: [*path, *given, *more], st.tuples(*positions), chosen)


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_garbage_is_refused_in_words(
    pets: Path, provreg: Run, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PROVREG_PASSWORD", "x")

    @settings(max_examples=25, deadline=None)
    @given(arguments=arguments_of(path))
    def refused(arguments: list[str]) -> None:
        ran = provreg(*arguments)
        assert ran.code in CODES, ran
        assert "Traceback" not in ran.out + ran.err
        assert not {"\x1b", "\x9b", "\u202e"} & set(ran.out + ran.err)
        if ran.code:
            assert ran.out or ran.err
        if ran.out.startswith("{") and "--json-lines" not in arguments:
            json.loads(ran.out)

    refused()


FILES = {
    "empty": b"",
    "nul": b"\x00",
    "not-utf-8": b"\xff\xfe",
    "brace": b"{",
    "deep": b"[" * 100_000,
    "pem": b"-----BEGIN PUBLIC KEY-----\n",
    "long": b"a" * 300_000,
}
DRY = ["--name", "n", "--source", "s", "--dry-run"]


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "pets@1", "--key"],
        ["verify", "pets@1", "--policy"],
        ["policy", "check", "--policy"],
        ["policy", "init", "--out", "new.toml", "--key"],
        ["pin", "pets@1", "--lock"],
        ["ingest", "data", *DRY, "--labels"],
        ["ingest", "data", *DRY, "--sign"],
        ["ingest", *DRY, "--format", "jsonl"],
        ["ingest", *DRY, "--format", "json"],
        ["ingest", *DRY, "--format", "csv"],
        ["ingest", *DRY, "--format", "parquet"],
        ["diff", "pets@1", "./data", "--labels"],
        ["ls", "--registry"],
    ],
    ids=" ".join,
)
def test_garbage_in_files_is_refused_in_words(pets: Path, provreg: Run, command: list[str]) -> None:
    for kind, content in FILES.items():
        for name in (f"{kind}.csv", kind):
            (pets / name).write_bytes(content)
            (pets / name).chmod(0o600)
            ran = provreg(*command, f"key:{name}" if command[-1] == "--sign" else name)
            assert ran.code in CODES, ran
            assert "Traceback" not in ran.out + ran.err
