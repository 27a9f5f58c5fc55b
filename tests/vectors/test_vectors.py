"""Every test vector through verification, and through a second implementation of the format."""

from __future__ import annotations

import ast
import base64
import copy
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.names import Reference
from provreg.core.manifest.leaf import leaves
from provreg.core.policy.parser import parse_policy
from provreg.core.statements.revocation import RevocationLink
from provreg.errors import NotTrustedError
from provreg.executors.api import no_report
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace, open_workspace
from provreg.flows.verify.data import verify_data
from provreg.flows.verify.steps import Step, VerifiedVersion, verify
from provreg.store.backends.local import LocalBackend
from provreg.store.private import state
from provreg.store.private.state import Pin
from provreg.store.registry.statements import VERSIONS
from provreg.trust.keys import load_public

if TYPE_CHECKING:
    from tests.conftest import Bench

VECTORS = Path(__file__).parent
CASES = sorted((VECTORS / "cases").glob("*.json"))
ACCEPTED = [path for path in CASES if path.stem.startswith("good-")]
REFUSED = [path for path in CASES if path not in ACCEPTED]


def read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_bytes())
    return case


def stored(value: dict[str, Any]) -> bytes:
    """The bytes that a vector's `registry` writes in one of five ways (vectors/README.md)."""
    if "file" in value:
        return (VECTORS / value["file"]).read_bytes()
    if "base64" in value:
        return base64.b64decode(value["base64"])
    if "json" in value:
        return canonical(value["json"])
    return value["text"].encode() + b" " * value.get("blanks", 0)


def registry_of(case: dict[str, Any]) -> dict[str, bytes]:
    return {key: stored(value) for key, value in case["registry"].items()}


def workspace_of(
    case: dict[str, Any], folder: Path, registry: dict[str, bytes] | None = None
) -> Workspace:
    for key, data in (registry or registry_of(case)).items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    pins = {}
    if "pin" in case:
        known = dict(case["pin"])
        at = datetime.fromisoformat(known["at"]) if "at" in known else None
        seen = {who: datetime.fromisoformat(when) for who, when in known.get("seen", {}).items()}
        pins["pets"] = Pin(**known | {"revocation": link_of(known), "at": at, "seen": seen})
    workspace = open_workspace(LocalBackend(folder), pins, report=no_report)
    if "seen" in case:
        remember(workspace, case["seen"])
    return workspace


def remember(workspace: Workspace, seen: dict[str, Any]) -> None:
    """What a consumer has seen: each version under each trust, and at the vector's place."""
    for number, version in seen["versions"].items():
        for trust, signers in version["seen"].items():
            for signer, at in signers.items():
                state.remember(
                    [seen.get("place", workspace.location)],
                    state.Sighting(
                        "pets", seen["uid"], int(number), version["head"], trust, (signer,),
                        datetime.fromisoformat(at), link_of(seen),
                        {int(n): digest for n, digest in seen.get("in_force", {}).items()},
                    ),
                )  # fmt: skip


def link_of(known: dict[str, Any]) -> RevocationLink | None:
    """The newest revocation that a consumer knows."""
    link = known.get("revocation")
    return None if link is None else RevocationLink(**link)


def policy_of(case: dict[str, Any]) -> dict[str, Any]:
    alice = (VECTORS / "keys/TEST-ONLY-alice.pub").read_text("utf-8")
    by_default = {
        "format": "provreg.policy/v1",
        "principal": [{"name": "alice", "keys": [alice]}],
        "publish": [{"datasets": ["*"], "principals": ["alice"]}],
    }
    policy: dict[str, Any] = case.get("policy") or by_default
    return policy


def trust_of(case: dict[str, Any]) -> Trust:
    document = copy.deepcopy(policy_of(case))
    for key in (key for one in document.get("principal", ()) for key in one.get("keys", ())):
        if isinstance(key, dict):
            moments = {name: at for name, at in key.items() if name != "pem"}
            key |= {name: datetime.fromisoformat(at) for name, at in moments.items()}
    return Trust(
        parse_policy(document, lambda pem: load_public(pem.encode()).fingerprint), "a vector"
    )


def run(path: Path, folder: Path, on_step: Callable[[Step], None] = no_report) -> VerifiedVersion:
    """What a vector asks for; raises what verification raises."""
    case = read(path)
    workspace = workspace_of(case, folder / "registry")
    version = verify(
        workspace,
        workspace.chosen(Reference.parse(case["reference"])),
        trust_of(case),
        on_step=on_step,
    )
    if "data" in case:
        data = folder / "data"
        for name, text in case["data"].items():
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_text(text, "utf-8")
        verify_data(version.workspace, version.head, version.entries, [data], on_step=on_step)
    return version


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_vector_is_refused_at_its_step(path: Path, home: Path, tmp_path: Path) -> None:
    expected = read(path)["expect"]["refused"]
    steps: list[Step] = []
    with pytest.raises(NotTrustedError) as caught:
        run(path, tmp_path, steps.append)
    assert (caught.value.step, expected["says"] in caught.value.message) == (
        expected["step"],
        True,
    ), f"step {caught.value.step}: {caught.value.message}"
    found = [[finding.kind, finding.id] for finding in caught.value.findings]
    assert found == expected.get("findings", [])
    # Told in the order of their numbers, each once, and none behind the one that refuses.
    passed = [(number, True) for number in range(1, len(steps))]
    assert [(step.number, step.ok) for step in steps] == [*passed, (expected["step"], False)]


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_vector_verifies_and_has_its_facts(path: Path, home: Path, tmp_path: Path) -> None:
    expected = read(path)["expect"]["accepted"]
    steps: list[Step] = []
    version = run(path, tmp_path, steps.append)
    last = 12 if "data" in read(path) else 11
    assert [(step.number, step.ok) for step in steps] == [(n, True) for n in range(1, last + 1)]
    assert version.digest == expected["head"]
    if "revoked" in expected:
        mask = pa.array(version.revoked_samples())
        assert version.entries.column("id").filter(mask).to_pylist() == expected["revoked"]
    if "root" in expected:
        assert version.head.root == expected["root"]
        assert version.head.samples == expected["samples"] == version.entries.num_rows
        assert [part.blocks for part in version.head.parts] == expected["parts"]


@pytest.fixture(scope="module")
def second() -> Iterator[ModuleType]:
    """The second reader: modules in `vectors/` that import nothing of provreg."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(VECTORS))
        yield importlib.import_module("second_reader")


def test_the_second_reader_shares_no_code() -> None:
    files = sorted(VECTORS.glob("second_*.py"))
    assert len(files) == 12
    for path in files:
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith("provreg")]


def number_of(case: dict[str, Any]) -> tuple[str, int]:
    """The version that a vector's reference means by its pin and the names of records alone."""
    dataset, _, selector = case["reference"].partition("@")
    if not selector and case.get("pin", {}).get("exact"):
        return dataset, case["pin"]["version"]
    if selector.isdecimal():
        return dataset, int(selector)
    records = [key for key in case["registry"] if key.startswith(f"datasets/{dataset}/versions/")]
    return dataset, max(int(key[-13:-5]) for key in records)


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_the_second_reader_finds_the_same(path: Path, second: ModuleType) -> None:
    case = read(path)
    if "@sha256:" in case["reference"]:
        case["reference"] = "pets@1"
    facts = second.read_version(registry_of(case), *number_of(case))
    expected = case["expect"]["accepted"]
    if "revoked" in expected:
        revoked = importlib.import_module("second_revoked").revoked
        facts["revoked"] = revoked(registry_of(case), facts["head"], policy_of(case))
    assert {name: facts[name] for name in expected} == expected


FORMAT_STEPS = (4, 10, 11)


@pytest.mark.parametrize(
    "path",
    [path for path in REFUSED if read(path)["expect"]["refused"]["step"] in FORMAT_STEPS],
    ids=lambda path: path.stem,
)
def test_the_second_reader_refuses_what_the_format_refuses(path: Path, second: ModuleType) -> None:
    case = read(path)
    with pytest.raises(second.Refused):
        second.read_version(registry_of(case), *number_of(case))


@pytest.mark.parametrize(
    "path",
    [path for path in REFUSED if path.stem.startswith(("statement-", "bundle-altered"))],
    ids=lambda path: path.stem,
)
def test_no_bundle_signs_the_statement_the_second_reader_makes(
    path: Path, second: ModuleType
) -> None:
    case = read(path)
    made = second.read_version(registry_of(case), "pets", 1)["statement"].encode()
    bundles = [value["json"] for key, value in case["registry"].items() if "/signatures/" in key]
    assert bundles
    assert [b for b in bundles if base64.b64decode(b["dsseEnvelope"]["payload"]) == made] == []


def test_the_second_reader_finds_the_same_in_a_registry_of_provreg(
    bench: Bench, second: ModuleType
) -> None:
    data = bench.pets(count=300)
    labels = bench.folder / "labels.csv"
    rows = [
        f"cat/{n}.jpg,{'tabby' * (n % 500)},ann,2026-11-22T10:00:{n % 60:02}Z"
        for n in range(1, 300, 2)
    ]
    labels.write_text("\n".join(["id,label,labeler,labeled_at", *rows]) + "\n", "utf-8")
    bench.ingest(data)
    bench.ingest(data, labels=labels)
    files = bench.files()
    for number in (1, 2):
        version = bench.open().verify(f"pets@{number}")
        facts = second.read_version(files, "pets", number)
        own = leaves(version.entries)
        assert facts["head"] == version.digest
        assert facts["root"] == version.head.root
        assert facts["parts"] == [part.blocks for part in version.head.parts]
        assert facts["leaves"] == [own[at : at + 32].hex() for at in range(0, len(own), 32)]
        [bundle] = [
            json.loads(data)
            for key, data in files.items()
            if key.startswith(VERSIONS.prefix(version.digest, "pets"))
        ]
        assert base64.b64decode(bundle["dsseEnvelope"]["payload"]) == facts["statement"].encode()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_second_reader_decides_the_same_at_the_same_step(
    path: Path, second: ModuleType
) -> None:
    """Of steps 1 to 11; what is refused at step 12 passes these."""
    verdict = importlib.import_module("second_verdict")
    case = read(path)
    try:
        verdict.decide(
            registry_of(case),
            case["reference"],
            policy_of(case),
            seen=case.get("seen"),
            pin=case.get("pin"),
        )
        found = None
    except verdict.RefusedAt as refused:
        found = refused.step
    expected = case["expect"].get("refused", {}).get("step")
    assert found == (None if expected == 12 else expected)


def test_every_step_has_a_vector() -> None:
    steps = {read(path)["expect"]["refused"]["step"] for path in REFUSED}
    assert steps == set(range(1, 13))


def test_vectors_break_one_thing_each() -> None:
    """Two vectors that expect the same of the same bytes would be one."""
    asked = {canonical({name: read(path).get(name) for name in ("registry", "reference", "policy",
             "seen", "pin", "data")}) for path in CASES}  # fmt: skip
    assert len(asked) == len(CASES)


def test_vectors_are_small() -> None:
    files = [path for path in VECTORS.rglob("*") if path.suffix in (".json", ".parquet", ".pem")]
    assert sum(path.stat().st_size for path in files) < 2_400_000


def test_generator_makes_the_same_bytes_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, VECTORS / "generate.py", tmp_path], check=True, timeout=100)
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    kept = {
        str(path.relative_to(VECTORS))
        for folder in ("cases", "tables", "receipts", "acceptances", "parts", "keys")
        for path in (VECTORS / folder).iterdir()
    }
    assert made == kept
    assert [
        name
        for name in sorted(made)
        if (tmp_path / name).read_bytes() != (VECTORS / name).read_bytes()
    ] == []
