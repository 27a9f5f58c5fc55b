"""What a new user reads: one line of what happened and one of what to do, never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import provreg as provreg_package

Run = Callable[..., Any]


def test_provreg_alone_shows_its_commands(provreg: Run) -> None:
    ran = provreg()
    assert ran.code == 2
    assert "Commands:" in ran.err
    assert ran.out == ""


def test_help_asked_for_before_a_command_lists_all_commands(provreg: Run) -> None:
    assert provreg("--help", "ls").out == provreg("--help").out


@pytest.mark.parametrize("group", ["key", "policy"])
def test_a_group_alone_shows_its_commands(provreg: Run, group: str) -> None:
    ran = provreg(group)
    assert ran.code == 2
    assert f"Usage: provreg {group}" in ran.err


def test_version_is_said(provreg: Run) -> None:
    ran = provreg("--version")
    assert (ran.code, ran.out) == (0, f"provreg {provreg_package.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["vrify", "x"], "No such command 'vrify'. Did you mean 'verify'?", "provreg --help"),
        (["ls", "--jsn"], "No such option: --jsn", "`provreg ls --help`"),
        (["-v", "ls"], "No such option: -v", "write options after the command"),
        (["ingest"], "Missing argument 'PATH'.", "`provreg ingest --help`"),
        (["ingest", "x"], "Missing option '--name'.", "`provreg ingest --help`"),
        (["key", "generate", "--out", "k", "--algorithm", "rsa"], "ed25519", "--help"),
        (["pin", "pets", "--key", "ann.key.pub", "--policy", "both.toml"], "contradict", "one of"),
        (["show", "pets@0"], "'pets@0' is not a reference", "name@3"),
        (["show", "pets@v02"], "'pets@v02' is not a reference", "did you mean 'pets@2'?"),
        (["show", "pets@sha256:ab12"], "is not a reference", "64 digits, this one has 4"),
        (["verify", "../x"], "'../x' is not a dataset name", "a-z"),
        (["verify", "pets."], "'pets.' is not a dataset name", "ending with '.'"),
        (["log", "pets@1"], "'pets@1' is a version, not a dataset name", "write pets"),
        (["ingest", "data", "--name", "n", "--sign", "gpg:x"], "--sign: 'gpg:x'", "key:FILE"),
        (["ingest", "data", "--name", "n"], "a version must be signed", "--sign key:FILE"),
        (["ingest", "data", "--name", "n", "--replace", "--dry-run"], "--replace", "--append"),
        (["ingest", "data", "--name", "n", "--sign", "key:ann.key"], "has no source", "--source"),
        (["ingest", "data", "--name", "n", "--column", "x", "--dry-run"], "'x' has", "NAME:TYPE"),
        (["diff", "pets@1", "pets@2", "--labels", "l.csv"], "require a PATH", "has its own"),
        (["sql", "selct 1"], "syntax error", "versions, entries, changes"),
        (["sql", "drop table versions"], "exactly one SELECT", "versions, entries, changes"),
        (["init", "data"], "'data' is not empty", "empty folder"),
        (["policy", "init", "--key", "ann.key.pub"], "'provreg.policy.toml' exists", "--out"),
        (["key", "generate", "--out", "k"], "without a terminal", "PROVREG_PASSWORD"),
        (["key", "generate", "--out", "ann.key", "--no-passphrase"], "'ann.key' exists", "another"),
        (["verify", "pets", "--key", "ann.key"], "found a private key", ".pub"),
    ],
)  # fmt: skip
def test_usage_errors_say_what_to_do(
    pets: Path, provreg: Run, arguments: list[str], message: str, hint: str
) -> None:
    ran = provreg(*arguments)
    assert (ran.code, ran.out) == (2, "")
    first, second = ran.err.splitlines()
    assert first.startswith("provreg: ")
    assert message in first
    assert hint in second


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["verify", "pet"], "there is no dataset 'pet'", "`provreg ls`"),
        (["log", "pet"], "there is no dataset 'pet'", "`provreg ls`"),
        (["show", "pets@9"], "pets has no version 9, its newest is 2", "`provreg log pets`"),
        (["show", "pets", "cat/9.txt"], "pets@2 has no sample 'cat/9.txt'", "show pets@2 --ids"),
        (["blame", "pets", "cat/9.txt"], "pets@2 has no sample 'cat/9.txt'", "show pets@2 --ids"),
        (["verify", "pet"], "there is no dataset 'pet'", "did you mean 'pets'?"),
        (["log", "petts"], "there is no dataset 'petts'", "did you mean 'pets'?"),
        (["show", "pets@9"], "pets has no version 9", "did you mean 'pets@2'?"),
        (["blame", "pets", "data/cat/2.txt"], "no sample", "did you mean 'cat/2.txt'?"),
        (["blame", "pets", "evil.txt"], "no sample", "did you mean 'dog/evil.txt'?"),
        (["show", "pets", "DOG/5.TXT"], "no sample", "did you mean 'dog/5.txt'"),
        (["diff", "pets", "bad"], "there is no dataset 'bad'", "write ./bad"),
        (["ls", "--registry", "nowhere"], "no registry in 'nowhere'", "provreg init nowhere"),
    ],
)
def test_what_is_not_there_is_named(
    pets: Path, provreg: Run, arguments: list[str], message: str, hint: str
) -> None:
    ran = provreg(*arguments)
    assert (ran.code, ran.out) == (3, "")
    first, second = ran.err.splitlines()
    assert message in first
    assert hint in second


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "pets", "--key", "nokey"],
        ["verify", "pets", "--policy", "nopolicy"],
        ["verify", "pets@1", "--data", "nodata"],
        ["ingest", "nodata", "--name", "n", "--sign", "key:ann.key"],
        ["ingest", "data", "--name", "n", "--sign", "key:nokey"],
        ["diff", "pets@1", "./nodata"],
        ["diff", "pets@1", "./data", "--labels", "nolabels.csv"],
    ],
)
def test_missing_files_are_named(pets: Path, provreg: Run, arguments: list[str]) -> None:
    ran = provreg(*arguments)
    missing = next(one for one in map(str, arguments) if "no" in one and one != "--name")
    assert ran.code == 3, ran
    assert missing.removeprefix("key:").removeprefix("./") in ran.err


def test_without_a_registry_init_is_named(provreg: Run) -> None:
    ran = provreg("ls")
    assert ran.code == 3
    assert "provreg init" in ran.err


def test_without_a_policy_nothing_is_trusted(pets: Path, provreg: Run) -> None:
    (pets / "provreg.policy.toml").unlink()
    ran = provreg("verify", "pets@1")
    assert ran.code == 4
    assert ran.err.splitlines()[0] == "provreg: step 6: no policy or key was given"
    assert "--key FILE.pub" in ran.err


def test_wrong_key_is_refused(pets: Path, provreg: Run) -> None:
    ran = provreg("verify", "pets@1", "--key", "mallory.key.pub")
    assert ran.code == 4
    assert ran.err.startswith("provreg: step 3: no trusted key made this signature")


@pytest.mark.parametrize(
    "command",
    [["ls"], ["log", "pets"], ["show", "pets"], ["show", "pets", "dog/evil.txt"],
     ["diff", "pets@1", "pets@2"], ["blame", "pets"]],
)  # fmt: skip
def test_untrusted_versions_are_shown_and_marked(
    pets: Path, provreg: Run, command: list[str]
) -> None:
    ran = provreg(*command)
    assert ran.code == 0
    assert "UNTRUSTED" in ran.out
    assert "warning: pets@2 is UNTRUSTED: step 3: no trusted key made this" in ran.err
    assert "pets@1" not in ran.err


@pytest.mark.parametrize("command", [["verify", "pets"], ["pin", "pets"]])
def test_untrusted_versions_are_not_used(pets: Path, provreg: Run, command: list[str]) -> None:
    assert provreg(*command).code == 4
    assert not (pets / "provreg.lock").exists()


def test_publishing_what_the_policy_will_not_trust_is_refused_or_proposed(
    pets: Path, provreg: Run
) -> None:
    ingest = ("ingest", "data", "--name", "other", "--source", "s", "--sign", "key:mallory.key")
    ran = provreg(*ingest)
    assert ran.code == 4
    assert "other@1 is not published, for it would not be trusted: no trusted key" in ran.err
    assert "--propose" in ran.err
    assert provreg("ls", "--proposals").err == "no proposal waits for signatures\n"
    ran = provreg(*ingest, "--propose")
    assert ran.code == 0
    assert "other@1 is proposed: 10 samples" in ran.out
    reference = ran.err.rpartition("provreg sign ")[2].strip()
    assert "not signed by any principal of the policy" in provreg("ls", "--proposals").err
    assert provreg("verify", reference).code == 4
    signed = provreg("sign", reference, "--sign", "key:ann.key", "--yes")
    assert signed.code == 0
    assert "other@1 published" in signed.out
    assert provreg("verify", "other").code == 0


def test_datasets_of_proposals_alone_are_told(pets: Path, provreg: Run) -> None:
    ingest = ("ingest", "data", "--name", "other", "--source", "s", "--sign", "key:mallory.key")
    reference = provreg(*ingest, "--propose").err.rpartition("provreg sign ")[2].strip()
    listed = provreg("ls")
    assert listed.code == 0
    assert "only proposals, no version yet: other; `provreg ls --proposals`" in listed.err
    shown = provreg("log", "other")
    assert (shown.code, shown.out) == (3, "")
    assert "other has no version yet, only proposals" in shown.err
    assert "provreg ls --proposals" in shown.err
    # With nothing else in the registry as well.
    shutil.rmtree(pets / ".provreg/datasets/pets")
    assert "no datasets yet" not in provreg("ls").err
    policy = pets / "provreg.policy.toml"
    policy.write_text(policy.read_text() + '\n[[revoke]]\ndatasets = ["*"]\nprincipals = ["ann"]\n')
    revoked = provreg("revoke", reference, "--reason", "x", "--sign", "key:ann.key", "--yes")
    assert revoked.code == 0
    assert "nobody could train on it: it was only proposed" in revoked.err
    assert "inform everyone" not in revoked.err


def test_revoking_a_version_says_to_tell_who_trained_on_it(pets: Path, provreg: Run) -> None:
    policy = pets / "provreg.policy.toml"
    policy.write_text(policy.read_text() + '\n[[revoke]]\ndatasets = ["*"]\nprincipals = ["ann"]\n')
    head = json.loads(provreg("show", "pets@1", "--json").out)["head"]
    revoked = provreg("revoke", f"pets@{head}", "--reason", "x", "--sign", "key:ann.key", "--yes")
    assert "inform everyone who trained on it" in revoked.err


def test_head_that_is_not_there_is_no_path_of_an_object(pets: Path, provreg: Run) -> None:
    ran = provreg("show", f"pets@sha256:{0:064x}")
    assert ran.code == 4
    first, second = ran.err.splitlines()
    assert first == f"provreg: step 4: there is no head sha256:{0:064x}"
    assert "copy the digest whole" in second


def test_registry_behind_a_url_is_no_folder(provreg: Run, tmp_path: Path) -> None:
    for command in (("ls", "--registry"), ("init",)):
        for url in ("https://data.example.org/registry", "s3://bucket/registry"):
            ran = provreg(*command, url)
            assert ran.code == 2
            assert "a registry is a folder" in ran.err
    assert not (tmp_path / "https:").exists()


def test_spent_proposals_are_taken_away_by_one_command(pets: Path, provreg: Run) -> None:
    assert provreg("ls", "--tidy").code == 2
    ingest = ("ingest", "data", "--name", "other", "--source", "s")
    mallory, ann = ("--sign", "key:mallory.key", "--propose"), ("--sign", "key:ann.key")
    reference = provreg(*ingest, *mallory).err.rpartition("provreg sign ")[2].strip()
    assert provreg(*ingest, *ann).code == 0
    assert "1 proposal not signed by any" in provreg("ls", "--proposals").err
    tidied = provreg("ls", "--proposals", "--tidy")
    assert tidied.code == 0
    assert tidied.err.splitlines() == [
        f"deleted {reference}: its version number is in use",
        "no proposal waits for signatures",
    ]


def test_hostile_names_do_not_act_on_the_terminal(pets: Path, provreg: Run) -> None:
    for arguments in (
        ["verify", "\x1b[31mpets"],
        ["show", "pets@1", "\x1b]0;owned\x07"],
        ["ls", "--registry", "\x1b[2J"],
        ["ls", "--\x1b[31m"],
        ["ingest", "\x1b[31m", "--name", "x", "--dry-run"],
        ["ingest", "data", "--name", "x", "--column", "\x9b31m:int", "--dry-run"],
        ["ingest", "data", "--name", "x", "--column", "\x9b31m:\x1b[2J", "--dry-run"],
        ["sql", "select '\x1b[31m' as \"\u202ename\""],
        ["sql", "select '\x1b[31m' as \"\u202ename\"", "--json"],
        ["verify", "pets", "--data", "\u202e"],
        ["verify", "pets", "--json", "--key", "\x9b"],
    ):
        ran = provreg(*arguments)
        shown = ran.out + ran.err
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(shown), arguments


def test_labels_with_escapes_are_shown_escaped(pets: Path, provreg: Run) -> None:
    rows = '{"key": "a", "text": "t", "label": "\\u001b[2Jgood"}\n'
    (pets / "rows.jsonl").write_text(rows, "utf-8")
    ingest = ("ingest", "rows.jsonl", "--name", "rows", "--id", "key", "--label", "label")
    ran = provreg(*ingest, "--source", "s", "--sign", "key:ann.key", "-m", "\x1b[1A")
    assert ran.code == 0
    for command in (["show", "rows", "a"], ["log", "rows"], ["sql", "select label from entries"]):
        shown = provreg(*command).out
        assert "\\x1b" in shown
        assert "\x1b" not in shown + provreg(*command, "--json").out


def test_quiet_leaves_results_and_warnings(pets: Path, provreg: Run) -> None:
    (pets / "data/.hidden").touch()
    ingest = ("ingest", "data", "--name", "quiet", "--source", "s", "--sign", "key:ann.key")
    assert provreg(*ingest, "--dry-run").err == "excluded: 1 hidden\n"
    assert provreg(*ingest, "--quiet").err == ""
    ran = provreg("diff", "pets@1", "pets@2", "--quiet")
    assert "UNTRUSTED" in ran.err
    assert ran.out.startswith("pets@1 -> pets@2: 1 injected")


def test_verbose_says_whom_is_trusted_and_every_step(pets: Path, provreg: Run) -> None:
    ran = provreg("verify", "pets@1", "--data", "data", "-v")
    assert ran.code == 0
    steps = [line.split()[1] for line in ran.out.splitlines() if line.startswith("ok")]
    assert steps == [str(number) for number in range(1, 13)]
    assert ran.err.startswith("trust: policy ")


def test_verified_ends_with_why_it_is_trusted(pets: Path, provreg: Run) -> None:
    ran = provreg("verify", "pets@1", "--data", "data")
    lines = ran.out.splitlines()
    assert lines[0] == "pets@1 is verified: 10 samples in data as signed"
    assert lines[1].startswith(
        "  trusted because signed by 1 of 1 needed by publish rule 1 (*): ann (key sha256:"
    )
    assert lines[2].startswith("  by policy ")


def test_ten_thousand_changes_stay_readable(pets: Path, provreg: Run) -> None:
    table = pets / "many.csv"
    ingest = ("ingest", "many.csv", "--name", "many", "--id", "n", "--label", "y",
              "--sign", "key:ann.key", "--quiet")  # fmt: skip
    rows = [f"{number:05},text {number},{number % 7}" for number in range(10_000)]
    table.write_text("\n".join(["n,x,y", *rows]) + "\n", "utf-8")
    assert provreg(*ingest, "--source", "a", "--labeler", "ann").code == 0
    rows = [f"{number:05},text {number},{number % 5}" for number in range(10_000)]
    table.write_text("\n".join(["n,x,y", *rows]) + "\n", "utf-8")
    assert provreg(*ingest, "--source", "b", "--labeler", "bob").code == 0
    ran = provreg("diff", "many@1", "many@2")
    assert len(ran.out.splitlines()) < 40
    assert "relabeled" in ran.out
    assert "bob" in ran.out
    assert len(provreg("blame", "many").out.splitlines()) < 40
    listed = provreg("diff", "many@1", "many@2", "-v").out.splitlines()
    assert len(listed) > 8_000


def test_no_changes_are_one_line(pets: Path, provreg: Run) -> None:
    assert provreg("diff", "pets@1", "./data").out == "pets@1 -> data: no changes\n"


def test_a_path_that_cannot_be_written_is_an_error(pets: Path, provreg: Run) -> None:
    for arguments in (
        ["policy", "init", "--key", "ann.key.pub", "--out", "none/x.toml"],
        ["pin", "pets@1", "--lock", "none/provreg.lock"],
        ["key", "generate", "--out", "none/k", "--no-passphrase"],
    ):
        ran = provreg(*arguments)
        assert ran.code in {3, 6}, ran
        assert "none/" in ran.err


def test_a_damaged_registry_is_said_with_exit_code_5(pets: Path, provreg: Run) -> None:
    part = max((pets / ".provreg/objects").rglob("blake3-*"), key=lambda path: path.stat().st_size)
    part.chmod(0o600)
    part.write_bytes(b"x" + part.read_bytes()[1:])
    ran = provreg("check")
    assert ran.code == 5
    assert "no damage" not in ran.out
    shutil.rmtree(pets / ".provreg/datasets/pets/signatures")
    assert provreg("check").code == 5


def test_names_the_terminal_cannot_show_are_escaped(provreg: Run, home: Path) -> None:
    assert provreg("init", "régistre", encoding="ascii").out == (
        f"registry ready in {home}/r\\xe9gistre\n"
    )
    assert provreg("init", "réseau", "--json", encoding="ascii").json == {
        "registry": f"{home}/réseau"
    }
    assert provreg("init", "un\udcffreadable", "--json").json == {
        "registry": f"{home}/un\udcffreadable"
    }


def test_revoked_samples_are_told_where_there_are_some(pets: Path, provreg: Run) -> None:
    both = ("--policy", "both.toml")
    with (pets / "both.toml").open("a", encoding="utf-8") as policy:
        policy.write("\n[[revoke]]\ndatasets = ['*']\nprincipals = ['ann']\n")
    revoke = ("revoke", "pets@2", "--source", "vendor-b", "--reason", "poison", "--yes")
    assert provreg(*revoke, "--sign", "key:ann.key", *both).code == 0
    assert "of pets@2 are revoked: " in provreg("verify", "pets@2", *both).err
    before = provreg("verify", "pets@1", *both)
    assert before.code == 0
    assert "revoked: " not in before.err
