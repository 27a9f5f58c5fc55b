"""Keyless from end to end: the command line, the real client, and a Sigstore on loopback."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sigstore_instance import Instance as Loopback
from sigstore_instance.instance import PERSON

from provreg.core.manifest.head import Head
from provreg.core.policy.policy import Identity, Policy, Principal, PublishRule, TrustedKey
from provreg.core.statements.statement import version_statement
from provreg.errors import NotTrustedError, StorageError, UsageError
from provreg.flows.ingest.request import Ingestion
from provreg.flows.session.trust import Trust, find_root, find_trust
from provreg.flows.session.workspace import open_workspace
from provreg.registry import Registry
from provreg.store.registry.folder import open_registry
from provreg.trust.sigstore.root import PUBLIC_GOOD, STAGING, TrustedRoot
from provreg.trust.sigstore.sign import Instance, KeylessSigner
from provreg.trust.sigstore.token import TokenSource

MALLORY = "mallory@example.org"
CI_VARIABLES = (
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "CIRCLECI",
    "BUILDKITE",
    "GOOGLE_SERVICE_ACCOUNT_NAME",
)

# `bench` is tests/conftest.py's registry with people who have keys.
Bench = Any


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def configs(loopback: Loopback, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rekor1.json, rekor2.json and root.json; alice's token is in the environment."""
    folder: Path = bench.folder / "sigstore"
    folder.mkdir()
    for log in (1, 2):
        (folder / f"rekor{log}.json").write_text(json.dumps(loopback.trust_config(log)), "utf-8")
    (folder / "root.json").write_text(json.dumps(loopback.trusted_root()), "utf-8")
    for variable in (*CI_VARIABLES, "SIGSTORE_ID_TOKEN", "PROVREG_TRUSTED_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PROVREG_IDENTITY_TOKEN", loopback.oidc.token())
    return folder


def ingest(bench: Bench, data: Path, *options: str | Path) -> subprocess.CompletedProcess[bytes]:
    return run(bench, "ingest", data, "--name", "pets", "--source", "shelter", *options)


def run(bench: Bench, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    result: subprocess.CompletedProcess[bytes] = bench.run(*arguments)
    assert b"Traceback" not in result.stderr
    return result


def keyless(config: Path) -> tuple[str | Path, ...]:
    return ("--sign", "keyless", "--trust-config", config)


def signer(config: Path, token: str) -> KeylessSigner:
    return KeylessSigner(
        Instance(config), TokenSource(None, {"PROVREG_IDENTITY_TOKEN": token}, None), limit=30
    )


def bundles(bench: Bench) -> dict[str, bytes]:
    return {name: data for name, data in bench.files().items() if "/signatures/" in name}


def countersign(registry: Registry, made_by: KeylessSigner) -> Head:
    """Adds a bundle over the statement of pets@1."""
    ancestor = registry.resolve("pets@1")
    head = ancestor.head
    statement = version_statement(
        dataset=head.dataset, version=head.version, head=ancestor.digest, uid=head.uid,
        root=head.root, samples=head.samples,
    )  # fmt: skip
    registry.workspace.versions.add(ancestor.digest, made_by.sign(statement), "pets")
    return head


@pytest.mark.parametrize("log", [1, 2])
def test_version_is_signed_and_verified_by_identity(
    bench: Bench, loopback: Loopback, configs: Path, log: int
) -> None:
    data = bench.pets()
    published = ingest(bench, data, *keyless(configs / f"rekor{log}.json"))
    assert published.returncode == 0, published.stderr
    who = ("--identity", PERSON, "--issuer", loopback.oidc.issuer)
    root = ("--trusted-root", configs / "root.json")
    verified = run(bench, "verify", "pets@1", *who, *root, "--data", data, "-v")
    assert verified.returncode == 0, verified.stderr
    assert PERSON in verified.stdout.decode()
    assert f"by {'log' if log == 1 else 'tsa'}, while the certificate" in verified.stdout.decode()


def test_refusals_of_a_keyless_version_say_step_and_why(
    bench: Bench, loopback: Loopback, configs: Path
) -> None:
    ingest(bench, bench.pets(), *keyless(configs / "rekor2.json"))
    issuer, root = loopback.oidc.issuer, {"trusted_root": configs / "root.json"}
    for named, step in (
        ({"identity": MALLORY, "issuer": issuer, **root}, 6),
        ({"identity": PERSON, "issuer": "https://accounts.google.com", **root}, 6),
        ({"identity": PERSON, "issuer": issuer + "/", **root}, 6),
        ({"identity": PERSON.upper(), "issuer": issuer, **root}, 6),
        ({"identity": "*", "issuer": issuer, **root}, 6),
        ({"identity": PERSON, "issuer": issuer}, 3),
        ({"identity": PERSON, "issuer": issuer, "staging": True}, 3),
        ({"key": bench.key_file()}, 3),
    ):
        with pytest.raises(NotTrustedError) as caught:
            Registry.open(bench.registry, **named).verify("pets@1")
        assert caught.value.step == step, named
    for arguments, code, said in (
        (("--identity", PERSON, "--issuer", issuer), 4, "step 3"),
        (("--identity", PERSON, "--trusted-root", configs / "root.json"), 2, "belong together"),
    ):
        result = run(bench, "verify", "pets@1", *arguments)
        assert (result.returncode, said in result.stderr.decode()) == (code, True), result.stderr


def test_root_is_given_by_the_environment_too(
    bench: Bench, loopback: Loopback, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(bench, bench.pets(), *keyless(configs / "rekor1.json"))
    monkeypatch.setenv("PROVREG_TRUSTED_ROOT", str(configs / "rekor1.json"))
    who = ("--identity", PERSON, "--issuer", loopback.oidc.issuer)
    assert run(bench, "verify", "pets@1", *who).returncode == 0


def test_ones_own_keyless_versions_are_continued_without_a_policy(
    bench: Bench, loopback: Loopback, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = keyless(configs / "rekor2.json")
    assert ingest(bench, bench.pets(), *sign).returncode == 0
    more = bench.pets("more", 8)
    monkeypatch.setenv("PROVREG_IDENTITY_TOKEN", loopback.oidc.token(MALLORY))
    refused = ingest(bench, more, *sign)
    assert refused.returncode == 4, refused.stderr
    monkeypatch.setenv("PROVREG_IDENTITY_TOKEN", loopback.oidc.token())
    assert ingest(bench, more, *sign).returncode == 0
    assert bench.record(2).exists()


def test_same_version_counts_a_key_and_two_logs(
    bench: Bench, loopback: Loopback, configs: Path
) -> None:
    """Three principals: one key, one identity in Rekor 1, one in Rekor 2; all three needed."""
    bench.ingest(bench.pets())
    key, issuer = bench.signer().key.public, loopback.oidc.issuer
    principals = (
        Principal("alice", keys=(TrustedKey(key.fingerprint, key.pem),)),
        Principal("one", identities=(Identity("one@example.org", issuer),)),
        Principal("two", identities=(Identity("two@example.org", issuer),)),
    )
    root = TrustedRoot(loopback.trusted_root(), "loopback")

    def registry(threshold: int) -> Registry:
        rule = PublishRule(("*",), ("alice", "one", "two"), threshold)
        workspace = open_workspace(open_registry(bench.registry), {}, report=bench.warnings.append)
        return Registry(workspace, Trust(Policy(principals, (rule,)), "a test", root))

    for count, log in ((1, 1), (2, 2)):
        with pytest.raises(NotTrustedError) as caught:
            registry(count + 1).verify("pets@1")
        assert caught.value.step == 7
        subject = {1: "one@example.org", 2: "two@example.org"}[log]
        by = signer(configs / f"rekor{log}.json", loopback.oidc.token(subject))
        countersign(registry(1), by)
        verdict = registry(count + 1).verify("pets@1").verdict
        assert len(verdict.approvals) == count + 1
    proofs = [signature.proof for _, signature in verdict.approvals]
    assert proofs == ["claimed", "log", "tsa"]
    # The same person again, by another bundle, is not one more.
    again = signer(configs / "rekor1.json", loopback.oidc.token("one@example.org"))
    countersign(registry(1), again)
    assert len(registry(3).verify("pets@1").verdict.approvals) == 3


def test_proposal_by_one_identity_is_completed_by_another(
    bench: Bench, loopback: Loopback, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, issuer = bench.pets(), loopback.oidc.issuer
    people = "".join(
        f'[[principal]]\nname = "{name}"\n'
        f'identities = [{{ identity = "{identity}", issuer = "{issuer}" }}]\n'
        for name, identity in (("ann", PERSON), ("mallory", MALLORY), ("cem", "cem@example.org"))
    )
    rule = '[[publish]]\ndatasets = ["*"]\nprincipals = ["ann", "cem"]\nthreshold = 2\n'
    policy = bench.folder / "two.toml"
    policy.write_text(f'format = "provreg.policy/v1"\n{people}{rule}', "utf-8")
    how = (*keyless(configs / "rekor2.json"), "--policy", policy)
    trusting = ("--policy", policy, "--trusted-root", configs / "root.json")
    refused = ingest(bench, data, *how)
    assert refused.returncode == 4, refused.stderr
    assert b"needs a signature by 1 of: cem" in refused.stderr
    assert bench.files().keys() == {"provreg.json"}
    made = json.loads(ingest(bench, data, *how, "--propose", "--json").stdout)
    reference = f"pets@{made['proposal']['head']}"
    again = json.loads(ingest(bench, data, *how, "--propose", "--json").stdout)
    assert again["proposal"] == made["proposal"] | {"again": True}
    for subject, published in ((MALLORY, False), ("cem@example.org", True)):
        assert run(bench, "verify", "pets", *trusting).returncode == 3
        monkeypatch.setenv("PROVREG_IDENTITY_TOKEN", loopback.oidc.token(subject))
        sign = keyless(configs / "rekor1.json")
        with loopback.inject("rekor:500"):
            failed = run(bench, "sign", reference, *sign, "--policy", policy, "--yes")
        assert failed.returncode == 6, failed.stderr
        signed = run(bench, "sign", reference, *sign, "--policy", policy, "--yes", "--json")
        assert signed.returncode == 0, signed.stderr
        assert json.loads(signed.stdout)["published"] is published
    assert run(bench, "verify", "pets", *trusting, "--data", data).returncode == 0


@pytest.mark.parametrize(
    "fault",
    ["fulcio:500", "rekor:500", "rekor:truncated", "tsa:500", "bad-sct", "wrong-log-key",
     "checkpoint-of-another-tree", "timestamp-outside-certificate"],
)  # fmt: skip
def test_failed_signature_publishes_nothing_and_the_next_one_works(
    bench: Bench, loopback: Loopback, configs: Path, fault: str
) -> None:
    data = bench.pets()
    ingestion = Ingestion("pets", (data,), source="shelter")
    before = bench.files()
    made_by = signer(configs / "rekor2.json", loopback.oidc.token())
    workspace = open_workspace(open_registry(bench.registry), {}, report=bench.warnings.append)
    registry = Registry(workspace, None, root=TrustedRoot(loopback.trusted_root(), "loopback"))
    with loopback.inject(fault), pytest.raises((StorageError, NotTrustedError)):
        registry.ingest(ingestion, made_by)
    assert bench.files() == before
    outcome = registry.ingest(ingestion, made_by)
    assert outcome.head is not None
    assert outcome.head.version == 1


@pytest.mark.parametrize(("fault", "code"), [("rekor:500", 6), ("wrong-log-key", 4)])
def test_command_says_one_error_when_signing_fails(
    bench: Bench, loopback: Loopback, configs: Path, fault: str, code: int
) -> None:
    with loopback.inject(fault):
        failed = ingest(bench, bench.pets(), *keyless(configs / "rekor2.json"))
    said = failed.stderr.decode()
    assert failed.returncode == code, said
    assert said.count("provreg: ") == 1
    assert "nothing was published" in said
    assert bundles(bench) == {}


def test_missing_identity_is_told_before_anything_is_read(
    bench: Bench, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVREG_IDENTITY_TOKEN")
    missing = bench.folder / "no such data"
    failed = ingest(bench, missing, *keyless(configs / "rekor2.json"))
    assert failed.returncode == 2
    assert b"no identity to sign with" in failed.stderr


def test_token_in_a_file_signs(
    bench: Bench, loopback: Loopback, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVREG_IDENTITY_TOKEN")
    (configs / "token").write_text(loopback.oidc.token(), "utf-8")
    sign = ("--sign", f"keyless:{configs / 'token'}", "--trust-config", configs / "rekor1.json")
    assert ingest(bench, bench.pets(), *sign).returncode == 0


def test_whom_to_trust_is_one_of_three(tmp_path: Path) -> None:
    def find(**named: Any) -> Trust | None:
        return find_trust(None, None, {}, tmp_path, (), **named)

    trust = find(identity=PERSON, issuer="https://issuer.example", root=STAGING)
    assert trust is not None
    assert (trust.root, "staging" in trust.origin) == (STAGING, True)
    for named in (
        {"identity": PERSON},
        {"issuer": "https://issuer.example"},
        {"identity": "", "issuer": "https://issuer.example"},
    ):
        with pytest.raises(UsageError, match="belong together"):
            find(**named)
    with pytest.raises(UsageError, match="contradict"):
        find_trust(tmp_path / "p.toml", None, {}, tmp_path, (), identity=PERSON, issuer="x")
    with pytest.raises(UsageError, match="contradict"):
        find_root(tmp_path / "root.json", {}, staging=True)


def test_default_root_is_the_embedded_one(configs: Path) -> None:
    assert find_root(None, {}) is PUBLIC_GOOD
    assert find_root(None, {}, staging=True) is STAGING
    named = {"PROVREG_TRUSTED_ROOT": str(configs / "root.json")}
    assert find_root(None, named).document == find_root(configs / "root.json", {}).document
