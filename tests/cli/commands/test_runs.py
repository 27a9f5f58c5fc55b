"""From a model to its samples and back, as somebody types it at three in the morning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import provreg as library
from provreg.errors import ProvregError

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas/output"
Run = Callable[..., Any]


def check(document: Any, schema: str) -> None:
    Draft202012Validator(json.loads((SCHEMAS / f"{schema}.v1.json").read_text())).validate(document)


@pytest.fixture
def model(pets: Path) -> Path:
    """`out1`, trained by ann on the cats of pets@1, and `out2`, on Mallory's dogs of pets@2."""
    for number, (data, policy, label) in enumerate(
        [("data", "provreg.policy.toml", "cat"), ("bad", "both.toml", "dog")], start=1
    ):
        samples = library.load(
            f"pets@{number}", data=data, policy=policy, select=f"label = '{label}'"
        )
        folder = pets / f"out{number}"
        folder.mkdir()
        (folder / "weights.bin").write_bytes(b"weights %d" % number)
        hostile = {"\x1b[2Jlr": "\u202e0.1"}
        with library.training_run(samples, model=folder, sign="key:ann.key", parameters=hostile):
            list(samples)
    return pets


@pytest.mark.parametrize(
    ("schema", "code", "command"),
    [
        ("runs", 0, ["runs"]),
        ("runs", 0, ["runs", "labeler=mallory", "--policy", "both.toml"]),
        ("runs", 0, ["runs", "--where", "id = 'nothing'"]),
        ("show-model", 0, ["show", "model:out1"]),
        ("show-model", 0, ["show", "model:out1/weights.bin"]),
        ("show-model", 0, ["show", "model:out2", "--samples"]),
        ("show-sample", 0, ["show", "pets@1", "cat/1.txt"]),
        ("verify", 0, ["verify", "model:out1"]),
        ("verify", 4, ["verify", "model:out2"]),
        ("verify", 4, ["verify", "model:data"]),
        ("error", 3, ["show", "model:data"]),
        ("error", 3, ["show", "model:none"]),
        ("error", 3, ["verify", "model:none"]),
        ("error", 2, ["show", "model:"]),
        ("error", 2, ["show", "model:out1", "cat/1.txt"]),
        ("error", 2, ["show", "pets", "--samples"]),
        ("error", 2, ["verify", "model:out1", "--data", "data"]),
        ("error", 2, ["runs", "--where", "nonsense("]),
        ("error", 2, ["runs", "id=1"]),
        ("error", 2, ["verify", "pets", "--also", "."]),
        ("error", 2, ["show", "pets", "--also", "."]),
        ("error", 2, ["show", "pets", "--ids", "--also", "."]),
        ("error", 3, ["runs", "--also", "none"]),
        ("error", 3, ["verify", "model:out1", "--also", "none"]),
        ("verify", 0, ["verify", "model:out1", "--also", ".provreg"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_documents_are_as_their_schema_says(
    model: Path, provreg: Run, schema: str, code: int, command: list[str]
) -> None:
    ran = provreg(*command, "--json")
    assert ran.code == code, ran
    check(ran.json, schema)
    said = provreg(*command)
    assert said.code == code
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err


def test_show_leads_from_a_model_file_to_its_samples(model: Path, provreg: Run) -> None:
    document = provreg("show", "model:out1/weights.bin", "--samples", "--json").json
    [run] = document["runs"]
    assert run["trusted"]
    assert [signer["principal"] for signer in run["signers"]] == ["ann"]
    [on] = run["datasets"]
    assert (on["dataset"], on["version"], on["samples"], on["seen"]) == ("pets", 1, 10, 5)
    assert [sample["id"] for sample in document["samples"]] == [
        f"cat/{number}.txt" for number in range(1, 6)
    ]
    assert provreg("show", "model:out1", "--samples").out.splitlines() == [
        f"pets@1 cat/{number}.txt" for number in range(1, 6)
    ]


def test_show_leads_from_a_sample_to_the_models(model: Path, provreg: Run) -> None:
    """`dog/moved.txt` of pets@2 are the bytes of `cat/1.txt` of pets@1."""
    document = provreg("show", "pets@2", "dog/moved.txt", "--json", "--policy", "both.toml").json
    models = [run["model"][0]["sha256"] for run in document["runs"]]
    assert len(set(models)) == 2
    document = provreg("show", "pets@1", "dog/5.txt", "--json").json
    assert [run["datasets"][0]["version"] for run in document["runs"]] == [2]
    assert document["runs"][0]["datasets"][0]["trusted"] is False


def test_runs_tells_which_models_saw_what_a_labeler_labeled(model: Path, provreg: Run) -> None:
    [run] = provreg("runs", "labeler=mallory", "--json").json["runs"]
    assert (run["datasets"][0]["version"], run["chosen"], run["handed"]) == (2, 2, 2)
    ran = provreg("runs", "labeler=mallory")
    assert "pets@2 (UNTRUSTED)" in ran.out
    assert "no run received such a sample" in provreg("runs", "labeler=nobody").out
    assert len(provreg("runs", "--json").json["runs"]) == 2


def test_runs_and_models_can_be_asked_in_sql(model: Path, provreg: Run) -> None:
    query = (
        "select r.trusted, m.name, t.dataset, t.version, t.seen from runs r join models m using"
        " (receipt) join trained t using (receipt) order by finished, version"
    )
    rows = provreg("sql", query, "--json").json["rows"]
    assert rows == [
        [True, "weights.bin", "pets", 1, 5], [True, "weights.bin", "pets", 2, 6],
    ]  # fmt: skip


def test_a_changed_weight_is_refused_and_shown(model: Path, provreg: Run) -> None:
    ran = provreg("verify", "model:out1")
    assert "is verified: 1 file unchanged since the run, trained on pets@1" in ran.out
    (model / "out1/weights.bin").write_bytes(b"poisoned!")
    (model / "out1/config.json").write_bytes(b"{}")
    ran = provreg("verify", "model:out1")
    assert ran.code == 4
    assert "step 12" in ran.err
    (model / "out1/weights.bin").write_bytes(b"weights 1")
    ran = provreg("verify", "model:out1")
    assert ran.code == 4
    assert "stranger: config.json" in ran.out
    assert "CHANGED since the run: config.json stranger" in provreg("show", "model:out1").out


def test_a_policy_planted_beside_the_model_is_refused(
    model: Path, provreg: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = model / ".provreg"
    (model / "out1/provreg.policy.toml").write_bytes((model / "both.toml").read_bytes())
    monkeypatch.chdir(model / "out1")
    ran = provreg("verify", "model:.", "--registry", registry)
    assert ran.code == 4
    assert "step 6" in ran.err


@pytest.fixture
def revoking(model: Path) -> Path:
    """Ann may revoke, and trusts Mallory."""
    policy = (model / "both.toml").read_text() + (
        "\n[[revoke]]\ndatasets = ['*']\nprincipals = ['ann']"
        "\n[[train]]\ndatasets = ['*']\nprincipals = ['ann']\n"
    )
    (model / "provreg.policy.toml").write_text(policy)
    return model


def test_a_receipt_for_a_version_that_was_later_revoked_is_shown_as_such(
    revoking: Path, provreg: Run
) -> None:
    assert provreg("verify", "model:out2").code == 0
    revoked = provreg(
        "revoke", "pets@2", "--reason", "labels were flipped", "--sign", "key:ann.key", "--yes"
    )
    assert revoked.code == 0, revoked
    ran = provreg("verify", "model:out2")
    assert ran.code == 4
    assert "step 8" in ran.err
    assert "labels were flipped" in ran.err
    [run] = provreg("show", "model:out2", "--json").json["runs"]
    assert run["trusted"], "the receipt still says what it said"
    assert run["datasets"][0]["because"].startswith("step 8: pets@2 is revoked by ann")
    assert "pets@2 (UNTRUSTED)" in provreg("runs").out
    assert provreg("verify", "model:out1").code == 0
    # Who saw the revocation is not fooled by a registry that hides it.
    (revocation,) = (revoking / ".provreg/revocations").glob("*.json")
    provreg("verify", "pets@1")
    revocation.rename(revoking / "hidden")
    ran = provreg("verify", "model:out2")
    assert ran.code == 4
    assert "step 9" in ran.err


def test_samples_of_a_revoked_labeler_are_counted_in_what_a_model_was_handed(
    revoking: Path, provreg: Run
) -> None:
    ran = provreg(
        "revoke", "pets", "--labeler", "mallory", "--reason", "account stolen",
        "--sign", "key:ann.key", "--yes",
    )  # fmt: skip
    assert ran.code == 0, ran
    ran = provreg("verify", "model:out2", "--json")
    assert ran.code == 0
    check(ran.json, "verify")
    assert ran.json["warnings"][-1] == "2 samples of pets@2 that the run received are revoked"
    assert "2 of them are revoked" in provreg("show", "model:out2").out
    assert provreg("show", "model:out1", "--json").json["runs"][0]["datasets"][0]["revoked"] == 0


def test_a_registry_without_receipts_says_so_and_how_to_get_one(pets: Path, provreg: Run) -> None:
    for arguments in (["runs"], ["runs", "labeler=zoe"]):
        ran = provreg(*arguments)
        assert (ran.code, ran.out) == (0, "there are no receipts in this registry yet\n")
        assert "`provreg.training_run`" in ran.err


def test_unsigned_receipts_are_those_of_this_registry(model: Path, provreg: Run) -> None:
    """A user with several registries was warned in each of what is not signed in any."""
    samples = library.load("pets@1", data="data", policy="provreg.policy.toml")
    (model / "out3").mkdir()
    with (
        pytest.raises(ProvregError),
        library.training_run(samples, model=model / "out3", sign="key:ann.key"),
    ):
        list(samples)
    assert "a receipt is not signed yet" in provreg("runs").err
    assert provreg("init", "other").code == 0
    assert "receipt is not signed" not in provreg("runs", "--registry", "other").err


def test_runs_are_told_apart_by_run_and_script(model: Path, provreg: Run) -> None:
    runs = provreg("runs", "--json").json["runs"]
    words = provreg("runs").out
    for run in runs:
        assert run["run"][:8] in words
    assert words.splitlines()[0].split()[:4] == ["receipt", "finished", "run", "script"]
    assert "out1: weights.bin" in words
    assert "out2: weights.bin" in words
