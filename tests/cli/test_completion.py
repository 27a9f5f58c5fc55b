"""Completion by the tab key: what real shells get, what it costs, and hostile registries."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
FLAGS = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}
# Bash hands its words to the function as the tab key would, by its own rules of splitting.
BASH = r"""
source <(provreg completion bash)
COMP_LINE=$LINE COMP_POINT=${#LINE}
compopt() { echo "$@"; }
read -ra COMP_WORDS <<< "$LINE"
_provreg provreg
printf '%s\n' "${COMPREPLY[@]}"
"""


def run_shell(
    shell: str, script: str, folder: Path, environment: dict[str, str], **more: str
) -> str:
    """What `script` prints, with `provreg` on the path."""
    ran = subprocess.run(
        [shell, *FLAGS[shell], "-c", script],
        cwd=folder,
        env=environment | more | path_with_provreg(folder, environment),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def path_with_provreg(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    program = programs / "provreg"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m provreg "$@"\n')
    program.chmod(0o755)
    return {"PATH": f"{programs}:{environment['PATH']}"}


def press_tab(
    shell: str, start: str, lines: Sequence[str], folder: Path, environment: dict[str, str]
) -> list[str]:
    """What is left on the line of a shell in a terminal when each of `lines` and then the tab key
    are typed. The line is made an argument of printf, which shows it."""
    leader, follower = pty.openpty()
    left = []
    with subprocess.Popen(
        [shell, *FLAGS[shell], "-i"],
        cwd=folder,
        env=environment | path_with_provreg(folder, environment) | {"PS1": "", "TERM": "dumb"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as process:
        os.close(follower)
        os.write(leader, f"{start}; echo rea''dy\r".encode())
        read_until(leader, "ready")
        for line in lines:
            # Zsh takes a tab among what was typed before its prompt for a blank.
            time.sleep(0.5)
            os.write(leader, line.encode())
            time.sleep(0.3)
            os.read(leader, 1 << 16)
            os.write(leader, b"\t")
            wait_for_echo(leader)
            # At the beginning of the line, which becomes an argument.
            os.write(leader, b"'\x01printf '<%s>\\n' '\r")
            shown = read_until(leader, "\n<", ">\r\n")
            left.append(shown.rpartition("\n<")[2].partition(">")[0].rstrip())
        process.kill()
    os.close(leader)
    return left


def wait_for_echo(leader: int) -> None:
    """Waits until something was shown, and then nothing more."""
    seconds = 30.0
    while select.select([leader], [], [], seconds)[0]:
        os.read(leader, 1 << 16)
        seconds = 1


def read_until(leader: int, *texts: str) -> str:
    """What a terminal shows until all of `texts` were shown, one after the other."""
    shown, place = "", 0
    for text in texts:
        while (found := shown.find(text, place)) < 0:
            if not select.select([leader], [], [], 60)[0]:
                raise TimeoutError(shown)
            shown += os.read(leader, 1 << 16).decode(errors="replace")
        place = found + len(text)
    return shown


@pytest.fixture
def complete(
    pets: Path, provreg: Run, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Sequence[str]], list[str]]:
    """The candidates, without their descriptions, for the last of some words."""
    monkeypatch.setenv("_PROVREG_COMPLETE", "zsh")

    def candidates(words: Sequence[str]) -> list[str]:
        ran = provreg(*words)
        assert (ran.code, ran.err) == (0, ""), ran
        return [line.partition("\t")[0] for line in ran.out.splitlines()]

    return candidates


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["b"], ["blame"]),
        (["key", ""], ["generate", "show"]),
        (["policy", "c"], ["check"]),
        (["policy", "a"], ["add"]),
        (["policy", "add", ""], ["principal", "key", "rule"]),
        (["policy", "add", "rule", "fr"], ["freshness"]),
        (["verify", ""], ["pets", ":nospace"]),
        (["verify", "p"], ["pets", ":nospace"]),
        (["verify", "pets@"], ["pets@2", "pets@1", ":nospace"]),
        (["show", "pets@1"], ["pets@1", ":nospace"]),
        (["verify", "--data", "data", "p"], ["pets", ":nospace"]),
        (["log", "-n", "5", "p"], ["pets"]),
        (["diff", "pets@1", ""], ["pets", ":nospace", ":files"]),
        (["ingest", "x", "--name", ""], ["pets"]),
        (["ingest", ""], [":files"]),
        (["verify", "pets", "--poli"], ["--policy"]),
        (["verify", "--policy", ""], [":files"]),
        (["verify", "--policy=x"], [":files"]),
        (["blame", "pets", "--by", "s"], ["source", "signer"]),
        (["blame", "pets", "--by=v"], ["--by=version"]),
        (["sign", "pets", "--sign", "k"], ["keyless", "key:", ":nospace"]),
        (["sign", "pets", "--sign", "key:a"], [":files"]),
        (["verify", "model:o"], [":files"]),
        (["blame", "pets", "cat"], []),
        (["nonsense", ""], []),
        (["verify", "--registry", "elsewhere", ""], [":nospace"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["--v"], ["--version"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_candidates(
    complete: Callable[[Sequence[str]], list[str]], words: list[str], found: list[str]
) -> None:
    assert complete(words) == found


def test_all_commands_are_candidates_with_their_summaries(
    complete: Callable[[Sequence[str]], list[str]], provreg: Run
) -> None:
    assert {"ingest", "verify", "key", "policy", "export", "completion"} <= set(complete([""]))
    assert "verify\tVerify a version" in provreg("").out


def test_names_that_others_put_into_a_registry_reach_no_shell(
    complete: Callable[[Sequence[str]], list[str]], pets: Path
) -> None:
    """Attack: a folder beside the datasets whose name a shell would run, or a terminal obey."""
    for name in (
        "$(touch owned)",
        "`touch owned`",
        "a;touch owned",
        "x\x1b[2J",
        "a\nb",
        "A",
        "a..b",
    ):
        (pets / ".provreg/datasets" / name / "versions").mkdir(parents=True)
    versions = pets / ".provreg/datasets/pets/versions"
    (versions / "$(touch owned).json").write_text("{}")
    assert complete(["verify", ""]) == ["pets", ":nospace"]
    assert complete(["verify", "pets@"]) == ["pets@2", "pets@1", ":nospace"]
    assert complete(["verify", "$(touch owned)@"]) == [":nospace"]


def test_a_registry_that_is_far_or_broken_gives_no_candidates(
    complete: Callable[[Sequence[str]], list[str]], pets: Path
) -> None:
    """Nothing is asked of a network because somebody pressed a key."""
    for registry in ("https://registry.example/r", "s3://bucket/r", "data/cat/1.txt"):
        assert complete(["verify", "--registry", registry, ""]) == [":nospace"]
    shutil.rmtree(pets / ".provreg/datasets")
    assert complete(["verify", ""]) == [":nospace"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("provreg ver", ["verify"]),
        ("provreg verify pe", ["pets"]),
        # Bash splits at the sign, which it wants back.
        ("provreg verify pets@", ["@2", "@1"]),
        ("provreg verify pets@1", ["@1"]),
        ("provreg blame pets --by=ver", ["version"]),
        ("provreg verify --poli", ["--policy"]),
        ("provreg verify --data 'a folder' pe", ["pets"]),
    ],
)
def test_bash_completes(
    pets: Path, environment: dict[str, str], line: str, found: list[str]
) -> None:
    shown = run_shell("bash", BASH, pets, environment, LINE=line).splitlines()
    assert [one for one in shown if one and not one.startswith("-o")] == found


def test_bash_completes_names_of_files_where_a_file_is_wanted(
    pets: Path, environment: dict[str, str]
) -> None:
    shown = run_shell("bash", BASH, pets, environment, LINE="provreg verify pets --data da")
    assert shown.splitlines()[0] == "-o default"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_tab_key_completes_in_a_terminal(
    pets: Path, provreg: Run, environment: dict[str, str], shell: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"the program {shell} is not there")
    ingest = ("ingest", "data", "--name", "other", "--source", "s", "--sign", "key:ann.key")
    assert provreg(*ingest).code == 0
    zsh = "autoload -Uz compinit && compinit -u -d .zcompdump"
    start = f"{zsh}; source <(provreg completion zsh)"
    if shell == "bash":
        start = "source <(provreg completion bash)"
    lines = {
        "provreg poli": "provreg policy",
        "provreg verify pe": "provreg verify pets",
        "provreg verify other@": "provreg verify other@1",
        "provreg blame pets --by=ver": "provreg blame pets --by=version",
        "provreg verify pets --data da": "provreg verify pets --data data/",
        "provreg sign pets --sign key:ann.key.p": "provreg sign pets --sign key:ann.key.pub",
    }
    left = press_tab(shell, start, list(lines), pets, environment)
    assert left == list(lines.values())


@pytest.mark.skipif(shutil.which("fish") is None, reason="the program fish is not there")
def test_fish_completes(pets: Path, environment: dict[str, str]) -> None:
    script = "provreg completion fish | source; complete -C $LINE"
    shown = run_shell("fish", script, pets, environment, LINE="provreg verify pets@")
    assert sorted(shown.split()) == ["pets@1", "pets@2"]
    shown = run_shell("fish", script, pets, environment, LINE="provreg ver")
    assert shown.startswith("verify\tVerify a version")
    assert "data/" in run_shell("fish", script, pets, environment, LINE="provreg ingest da")


def test_the_tab_key_loads_no_heavy_library(pets: Path, environment: dict[str, str]) -> None:
    script = (
        "import sys\nfrom provreg.cli import main\nsys.argv = ['provreg', 'verify', 'pets@']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pyarrow', 'numpy', 'duckdb', 'rich', 'sigstore', 'requests', 'socket',\n"
        "              'cryptography'} & set(sys.modules)))"
    )
    begin = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=pets, capture_output=True, text=True, check=True,
        env=environment | {"_PROVREG_COMPLETE": "zsh"}, timeout=60,
    )  # fmt: skip
    assert ran.stdout.splitlines()[:2] == ["pets@2", "pets@1"]
    assert ran.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - begin < 30, os.getloadavg()
