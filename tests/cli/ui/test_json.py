"""--json: one document, of the shape its schema has, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from provreg.cli.ui.output import Output, json_text

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas/output"
COUNTS = {"injected", "removed", "relabeled", "modified", "renamed", "reattributed", "resplit"}
INGEST = ("ingest", "data", "--name", "new", "--source", "s", "--sign", "key:ann.key")
Run = Callable[..., Any]


def check(document: Any, schema: str) -> None:
    Draft202012Validator(json.loads((SCHEMAS / f"{schema}.v1.json").read_text())).validate(document)


@pytest.mark.parametrize("path", sorted(SCHEMAS.iterdir()), ids=lambda path: path.name)
def test_schemas_are_schemas(path: Path) -> None:
    schema = json.loads(path.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/output/{path.name}")


@pytest.mark.parametrize(
    ("schema", "code", "command"),
    [
        ("init", 0, ["init", "new"]),
        ("key-generate", 0, ["key", "generate", "--out", "new.key", "--no-passphrase"]),
        ("policy-init", 0, ["policy", "init", "--key", "ann.key.pub", "--out", "new.toml"]),
        ("policy-check", 0, ["policy", "check"]),
        ("ingest", 0, INGEST),
        ("ingest", 0, [*INGEST, "--dry-run"]),
        ("ingest", 0, ["ingest", "data", "--name", "new", "--source", "s", "--dry-run"]),
        ("sign", 0, ["sign", "pets@1", "--sign", "key:mallory.key", "--yes"]),
        ("sign", 0, ["sign", "pets@2", "--sign", "key:mallory.key", "--yes"]),
        ("revoke", 0, ["revoke", "pets@1", "--reason", "r", "--sign", "key:ann.key", "--yes"]),
        ("revoke", 0, ["revoke", "pets", "--source", "web", "--since-version", "1", "--reason", "r",
                       "--sign", "key:mallory.key", "--yes"]),
        ("revoke", 0, ["revoke", "pets@1", "--sample", "cat/1.txt", "--reason", "r",
                       "--sign", "key:ann.key", "--yes"]),
        ("revoke", 0, ["revoke", "pets", "--source", "web", "--labeler", "ann", "--reason", "r",
                       "--dry-run", "--policy", "both.toml"]),
        ("error", 3, ["withdraw", "1", "--reason", "r", "--sign", "key:ann.key", "--yes"]),
        ("latest", 0, ["latest", "pets", "--key", "mallory.key.pub"]),
        ("latest", 0, ["latest", "pets", "--sign", "key:mallory.key", "--key", "mallory.key.pub"]),
        ("error", 4, ["latest", "pets"]),
        ("error", 2, ["revoke", "pets", "--reason", "r", "--sign", "key:ann.key", "--yes"]),
        ("ls", 0, ["ls"]),
        ("ingest", 4, [*INGEST, "--dry-run", "--policy", "two.toml"]),
        ("ingest", 0, [*INGEST, "--dry-run", "--propose", "--policy", "two.toml"]),
        ("ls-proposals", 0, ["ls", "--proposals"]),
        ("ingest", 0, [*INGEST, "--propose", "--key", "mallory.key.pub"]),
        ("error", 4, [*INGEST, "--key", "mallory.key.pub"]),
        ("log", 0, ["log", "pets"]),
        ("log", 0, ["log", "pets", "-n", "1"]),
        ("ls-versions", 0, ["ls", "--versions"]),
        ("show-ids", 0, ["show", "pets", "--ids"]),
        ("show-ids", 0, ["show", "pets", "--ids", "--where", "label = 'nothing'"]),
        ("show", 0, ["show", "pets"]),
        ("show", 0, ["show", "pets@1"]),
        ("show-sample", 0, ["show", "pets", "dog/moved.txt"]),
        ("pin", 0, ["pin", "pets@1"]),
        ("verify", 0, ["verify", "pets@1"]),
        ("verify", 0, ["verify", "pets@1", "--data", "data", "-v"]),
        ("verify", 4, ["verify", "pets@1", "--data", "bad"]),
        ("verify", 4, ["verify", "pets"]),
        ("verify", 0, ["verify", "pets", "--data", "bad", "--policy", "both.toml"]),
        ("diff", 0, ["diff", "pets@1", "pets@2"]),
        ("diff", 1, ["diff", "pets@1", "pets@2", "--exit-code", "--policy", "both.toml"]),
        ("diff", 0, ["diff", "pets@1", "pets@1", "--exit-code"]),
        ("diff", 1, ["diff", "pets@1", "./bad", "--exit-code"]),
        ("diff", 0, ["diff", "pets@1", "./bad", "--policy", "limits.toml"]),
        ("diff", 4, ["diff", "pets@1", "./bad", "--policy", "limits.toml", "--gate"]),
        ("diff", 0, ["diff", "pets@1", "./data", "--policy", "limits.toml", "--gate"]),
        ("ingest", 4, ["ingest", "bad", "--name", "pets", "--source", "s", "--dry-run", "--policy",
                       "limits.toml"]),
        ("blame", 0, ["blame", "pets"]),
        *(("blame-by", 0, ["blame", "pets", "--by", by])
          for by in ("labeler", "source", "version", "signer")),
        ("blame", 0, ["blame", "pets", "dog/evil.txt", "--policy", "both.toml"]),
        ("sql", 0, ["sql", "select * from entries"]),
        ("sql", 0, ["sql", "select * from changes"]),
        ("sql", 0, ["sql", "select * from versions"]),
        ("sql", 0, ["sql", "select 'nan'::double, 'inf'::float, 1.5, x'00'::blob, {'a': 1}"]),
        ("sql", 0, ["sql", "select * from signatures"]),
        ("sql", 0, ["sql", "select * from revocations"]),
        ("revocations", 0, ["revocations"]),
        ("revocations", 0, ["revocations", "pets", "--policy", "both.toml"]),
        ("error", 2, ["revocations", "../x"]),
        ("check", 0, ["check"]),
        ("check", 0, ["check", "--index"]),
        ("error", 2, ["verify", "pets@0"]),
        ("error", 2, ["ingest"]),
        ("error", 2, ["key"]),
        ("error", 2, ["vrify"]),
        ("error", 2, ["sql", "selct"]),
        ("error", 2, ["export", "oms", "pets@1", "--sign", "key:ann.key", "--out", "x"]),
        ("error", 2, ["export", "oms", "pets@1", "--out", "x"]),
        ("error", 3, ["verify", "pets@9"]),
        ("error", 3, ["show", "pets", "cat/9.txt"]),
        ("error", 3, ["ls", "--registry", "none"]),
        ("error", 4, ["pin", "pets"]),
        ("error", 4, ["export", "oms", "pets", "--sign", "key:ann.key", "--out", "x"]),
        ("error", 6, ["policy", "init", "--key", "ann.key.pub", "--out", "none/x"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list | tuple) else str(value),
)  # fmt: skip
def test_documents_are_as_their_schema_says(
    pets: Path, provreg: Run, schema: str, code: int, command: list[str]
) -> None:
    ran = provreg(*command, "--json")
    assert ran.code == code, ran
    assert ran.err == ""
    check(ran.json, schema)


def test_proposal_is_in_the_documents_of_all_that_take_it(pets: Path, provreg: Run) -> None:
    made = provreg(*INGEST, "--propose", "--json", "--policy", "two.toml").json
    check(made, "ingest")
    assert (made["published"], made["proposal"]["version"]) == (False, 1)
    again = provreg(*INGEST, "--propose", "--json", "--policy", "two.toml").json
    assert again["proposal"] == made["proposal"] | {"again": True}
    reference = f"new@{made['proposal']['head']}"
    listed = provreg("ls", "--proposals", "--json", "--policy", "two.toml").json
    check(listed, "ls-proposals")
    assert [one["state"] for one in listed["proposals"]] == ["waiting"]
    assert listed["proposals"][0]["needed"] == "needs a signature by 1 of: mallory"
    for command in ("show", "verify"):
        document = provreg(command, reference, "--json", "--policy", "two.toml").json
        check(document, command)
    sign = ("sign", reference, "--yes", "--json", "--policy", "two.toml")
    half = provreg(*sign, "--sign", "key:ann.key").json
    check(half, "sign")
    assert (half["signed"], half["published"], half["trusted"]) == (False, False, False)
    assert half["proposal"]["state"] == "waiting"
    done = provreg(*sign, "--sign", "key:mallory.key").json
    check(done, "sign")
    assert (done["signed"], done["published"], done["trusted"]) == (True, True, True)
    assert done["proposal"] is None


def test_a_withdrawal_is_told_as_a_revocation_is(pets: Path, provreg: Run) -> None:
    common = ("--reason", "r", "--sign", "key:ann.key", "--yes", "--json")
    assert provreg("revoke", "pets@1", *common).code == 0
    made = provreg("withdraw", "1", *common).json
    check(made, "withdraw")
    assert (made["withdraws"], made["in_force"]) == (1, True)
    check(provreg("revocations", "--json").json, "revocations")


def test_exported_bundle_is_told_with_its_number_of_files(pets: Path, provreg: Run) -> None:
    (pets / "data/.hidden").write_text("")
    assert provreg(*INGEST, "--sha256").code == 0
    ran = provreg("export", "oms", "new", "--sign", "key:ann.key", "--out", "new.oms", "--json")
    assert ran.code == 0, ran
    check(ran.json, "export-oms")
    assert (ran.json["ref"], ran.json["out"], ran.json["files"]) == ("new@1", "new.oms", 10)
    assert "--ignore_unsigned_files" in ran.json["warnings"][-1]
    assert json.loads(Path("new.oms").read_text())["dsseEnvelope"]


def test_damage_is_in_the_document(pets: Path, provreg: Run) -> None:
    (pets / ".provreg/datasets/pets/versions/00000003.json").write_text("{}")
    # A diff of neighbours looks at nothing but the two: the other way round it is none.
    for command in ("ls", "log pets", "blame pets@1", "diff pets@2 pets@1"):
        document = provreg(*command.split(), "--json").json
        check(document, command.split()[0])
        assert any("skipped pets@3" in warning for warning in document["warnings"])
    ran = provreg("check", "--json")
    check(ran.json, "check")
    assert ran.code == 5
    assert ran.json["problems"] != []


def test_diff_has_the_documented_shape(pets: Path, provreg: Run) -> None:
    document = provreg("diff", "pets@1", "pets@2", "--json", "--policy", "both.toml").json
    assert list(document) == ["old", "new", "counts", "changes"]
    assert set(document["counts"]) == COUNTS
    changes = {change["id"]: change for change in document["changes"]}
    assert {name: change["kinds"] for name, change in changes.items()} == {
        "dog/2.txt": ["modified"],
        "dog/3.txt": ["removed"],
        "dog/evil.txt": ["injected"],
        "dog/moved.txt": ["relabeled", "renamed"],
    }
    assert set(changes["dog/evil.txt"]) == {"kinds", "id", "old", "new", "attributions"}
    assert changes["dog/evil.txt"]["old"] is None
    assert changes["dog/3.txt"]["new"] is None
    assert changes["dog/moved.txt"]["old"]["id"] == "cat/1.txt"
    assert set(changes["dog/moved.txt"]["attributions"]) == {"content", "label"}
    attribution = changes["dog/evil.txt"]["attributions"]["label"]
    (signer,) = attribution.pop("signers")
    assert (signer["principal"], set(signer)) == ("mallory", {"principal", "key"})
    assert attribution.pop("signed_at").endswith("Z")
    assert attribution == {
        "version": 2, "source": "vendor-b", "labeler": "mallory", "labeled_at": None,
        "attested": False, "trusted": True, "proof": "claimed",
    }  # fmt: skip


def test_a_removal_is_attributed_to_its_signer_only(pets: Path, provreg: Run) -> None:
    document = provreg("diff", "pets@1", "pets@2", "--json", "--policy", "both.toml").json
    [attribution] = document["changes"][1]["attributions"].values()
    assert (attribution["source"], attribution["labeler"]) == (None, None)
    assert [signer["principal"] for signer in attribution["signers"]] == ["mallory"]


def test_untrusted_versions_have_no_signers_in_json(pets: Path, provreg: Run) -> None:
    document = provreg("diff", "pets@1", "pets@2", "--json").json
    [attribution] = document["changes"][0]["attributions"].values()
    assert (attribution["trusted"], attribution["signers"]) == (False, [])
    assert document["warnings"][0].startswith("pets@2 is UNTRUSTED: step 3")
    sample = provreg("blame", "pets", "dog/evil.txt", "--json").json["samples"][0]
    assert sample["content"]["trusted"] is False


def test_blame_has_the_documented_shape(pets: Path, provreg: Run) -> None:
    document = provreg("blame", "pets", "dog/moved.txt", "--json", "--policy", "both.toml").json
    assert list(document) == ["ref", "samples"]
    (sample,) = document["samples"]
    assert set(sample) == {"id", "content", "label"}
    assert (sample["content"]["since"], sample["content"]["source"]) == (1, "web")
    assert (sample["label"]["since"], sample["label"]["labeler"]) == (2, "mallory")


def test_verify_names_every_finding(pets: Path, provreg: Run) -> None:
    ran = provreg("verify", "pets@1", "--data", "bad", "--json")
    assert (ran.code, ran.json["verified"]) == (4, False)
    assert [step["step"] for step in ran.json["steps"] if not step["ok"]] == [12]
    assert {finding["id"]: finding["kind"] for finding in ran.json["findings"]} == {
        "cat/1.txt": "relabeled",
        "dog/2.txt": "changed",
        "dog/3.txt": "missing",
        "dog/evil.txt": "stranger",
    }


def test_what_was_never_checked_is_not_verified(pets: Path, provreg: Run) -> None:
    """Refused before the first step: a document without steps must not say that all passed."""
    (pets / "provreg.policy.toml").unlink()
    ran = provreg("verify", "pets@1", "--json")
    assert ran.code == 4
    check(ran.json, "verify")
    assert ran.json["verified"] is False
    assert ran.json["error"]["step"] == 6


def test_json_lines_are_the_counts_and_then_a_change_a_line(pets: Path, provreg: Run) -> None:
    ran = provreg("diff", "pets@1", "pets@2", "--json-lines")
    first, *changes = map(json.loads, ran.out.splitlines())
    for document in (first, *changes):
        check(document, "diff-lines")
    assert sum(first["counts"].values()) == 5
    assert [change["id"] for change in changes] == [
        "dog/2.txt", "dog/3.txt", "dog/evil.txt", "dog/moved.txt",
    ]  # fmt: skip
    assert "UNTRUSTED" in first["warnings"][0]
    check(provreg("diff", "nope", "pets@2", "--json-lines").json, "error")


def test_arrays_are_written_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=True)

    def items() -> Iterator[int]:
        for number in range(3):
            yield number
            written.append(capsys.readouterr().out)

    written: list[str] = []
    output.warn("careful")
    output.stream({"ref": "x"}, "samples", items())
    end = capsys.readouterr().out
    assert written == ['{"ref": "x", "samples": [\n0', ",\n1", ",\n2"]
    assert json.loads("".join(written) + end) == {
        "ref": "x", "samples": [0, 1, 2], "warnings": ["careful"],
    }  # fmt: skip


def test_an_empty_array_is_an_array(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).stream({}, "samples", [])
    assert json.loads(capsys.readouterr().out) == {"samples": []}


def test_json_cannot_act_on_a_terminal() -> None:
    hostile = "\x1b[2J\x9b31m\u202e\u2066\x7f\ufeff\udc80é猫\u2028"
    text = json_text({"id": hostile})
    assert json.loads(text) == {"id": hostile}
    assert text.replace("é猫", "").isascii()
    assert "\x7f" not in text
