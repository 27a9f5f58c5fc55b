"""A registry, people with keys, and a consumer of their own: what tests of flows begin with."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command import run_command
from hypothesis import settings
from lines_package import Install, installer

from provreg.core.encoding.canonical import canonical
from provreg.core.manifest.head import Head
from provreg.core.policy.policy import (
    AcceptRule,
    FreshnessRule,
    Policy,
    Principal,
    PublishRule,
    RevokeRule,
    TrustedKey,
)
from provreg.core.statements.statement import version_statement
from provreg.flows.ingest.publish import Outcome
from provreg.flows.ingest.request import Ingestion
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import open_workspace
from provreg.registry import Registry
from provreg.store.layout import object_key
from provreg.store.private.seen import Seen
from provreg.store.private.state import Pin
from provreg.store.registry.folder import init, open_registry
from provreg.store.registry.statements import VERSIONS
from provreg.trust.keys import generate
from provreg.trust.signers import KeySigner

# How long an example takes says how busy the machine is. More of them:
# `pytest --hypothesis-profile=many`.
settings.register_profile("few", deadline=None, max_examples=40)
settings.register_profile("many", deadline=None, max_examples=2000)
settings.load_profile("few")

# What a disk keeps when the power fails is nothing that a test can see, and waiting for it takes a
# third of the time of all tests. That it is called, and what follows when it fails, they see.
os.fsync = os.fstat  # type: ignore[assignment]

PRIVATE = ("PROVREG_CACHE", "PROVREG_STATE", "PROVREG_CONFIG")
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Bench:
    """A registry in `folder/registry`, and signers by name, made when first asked for."""

    folder: Path
    signers: dict[str, KeySigner] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    def write(self, name: str, files: Mapping[str, bytes | str]) -> Path:
        """A new folder, or one file where `name` is the only key's name."""
        folder = self.folder / name
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data if isinstance(data, bytes) else data.encode())
        return folder

    def pets(self, name: str = "pets", count: int = 6, **more: bytes) -> Path:
        """`count` cats and dogs, each of its own bytes."""
        files = {f"{'cat' if n % 2 else 'dog'}/{n}.jpg": b"picture %d" % n for n in range(count)}
        return self.write(
            name, files | {key.replace("__", "/"): data for key, data in more.items()}
        )

    def signer(self, name: str = "alice") -> KeySigner:
        if name not in self.signers:
            self.signers[name] = KeySigner(generate())
        return self.signers[name]

    def trust(
        self,
        *names: str,
        threshold: int = 1,
        revoke: Sequence[str] = (),
        attest: Sequence[str] = (),
        accept: Sequence[str] = (),
        mandatory: bool = True,
        agree: int = 1,
    ) -> Trust:
        """`names` may publish, `revoke` revoke, `attest` attest and `accept` accept findings,
        `agree` of those together."""
        names = names or ("alice",)
        principals = tuple(
            Principal(name, (TrustedKey(key.fingerprint, key.pem),))
            for name in dict.fromkeys((*names, *revoke, *attest, *accept))
            for key in (self.signer(name).key.public,)
        )
        every = ("*",)
        policy = Policy(
            principals,
            (PublishRule(every, names, threshold),),
            (RevokeRule(every, tuple(revoke), agree),) if revoke else (),
            (FreshnessRule(every, tuple(attest), agree, mandatory=mandatory),) if attest else (),
            accept=(AcceptRule(every, tuple(accept), agree),) if accept else (),
        )
        return Trust(policy, "a test")

    def open(
        self,
        *trusted: str,
        threshold: int = 1,
        pins: Mapping[str, Pin] | None = None,
        **roles: Any,
    ) -> Registry:
        """The registry as who trusts `trusted` sees it, by default alice alone."""
        store = open_registry(self.registry)
        workspace = open_workspace(store, pins or {}, report=self.warnings.append)
        trust = self.trust(*trusted, threshold=threshold, **roles)
        return Registry(workspace, trust, warnings=self.warnings)

    def ingest(
        self,
        *paths: Path,
        name: str = "pets",
        by: str = "alice",
        trusting: Sequence[str] = (),
        source: str | None = "shelter",
        **options: Any,
    ) -> Outcome:
        """One ingestion signed by `by`, who trusts `trusting` (and always themself)."""
        ingestion = Ingestion(name, paths, source=source, **options)
        registry = self.open(*dict.fromkeys((by, *trusting)))
        return registry.ingest(ingestion, self.signer(by))

    def forge(self, head: Head, *, by: str = "alice", claim: bool = True) -> str:
        """What a hostile signer does: any head at all, properly signed and published."""
        workspace = self.open(by).workspace
        digest = workspace.objects.put(head.to_bytes(), "sha256")
        statement = version_statement(
            dataset=head.dataset, version=head.version, head=digest, uid=head.uid, root=head.root,
            samples=head.samples,
        )  # fmt: skip
        workspace.versions.add(digest, self.signer(by).sign(statement), head.dataset)
        if claim:
            workspace.versions.claim(head.dataset, head.version, digest)
        return digest

    def record(self, number: int, name: str = "pets") -> Path:
        return self.registry / f"datasets/{name}/versions/{number:08d}.json"

    def point(self, number: int, head: str, name: str = "pets") -> None:
        """Lets a number's record name any head."""
        self.overwrite(self.record(number, name), canonical({"head": head, "nonce": "0" * 32}))

    def object(self, digest: str) -> Path:
        return self.registry / object_key(digest)

    def signatures(self, head: str, name: str = "pets") -> Path:
        return self.registry / VERSIONS.prefix(head, name)

    def overwrite(self, path: Path, data: bytes) -> None:
        """Puts other bytes into the place of a read-only file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def files(self) -> dict[str, bytes]:
        """Every file of the registry but staged ones."""
        return {
            str(path.relative_to(self.registry)): path.read_bytes()
            for path in self.registry.rglob("*")
            if path.is_file() and "tmp" not in path.relative_to(self.registry).parts
        }

    def seen(self, name: str = "pets") -> Seen | None:
        """What this consumer has seen of a dataset here."""
        workspace = self.open().workspace
        uids = set(workspace.uids_here(name).values())
        return workspace.seen(uids.pop()) if uids else None

    def forget(self, *variables: str) -> None:
        """The consumer becomes a new one: without state, cache and index (or those named)."""
        for variable in variables or PRIVATE:
            shutil.rmtree(os.environ[variable], ignore_errors=True)

    def key_file(self, name: str = "alice") -> Path:
        """A public key file, the private one beside it without `.pub`."""
        path = self.folder / f"{name}.key.pub"
        key = self.signer(name).key
        path.write_text(key.public.pem, "utf-8")
        private = path.with_suffix("")
        private.write_bytes(key.pem(None))
        private.chmod(0o600)
        return path

    def run(
        self, *arguments: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """The command line in a process of its own."""
        return run_command(
            [*map(str, arguments)],
            folder=cwd or self.folder,
            environment=os.environ | {"PROVREG_REGISTRY": str(self.registry), "COLUMNS": "200"},
        )


def _end_data_loaders() -> None:
    """Ends PyTorch's workers of iterators that nobody holds any more.

    `pytest.raises` keeps an iterator that raised in a cycle. Collected with it, an iterator finds
    its queues closed already and waits five seconds for each worker.
    """
    if torch := sys.modules.get("torch.utils.data.dataloader"):
        for found in gc.get_objects():
            if type(found) is torch._MultiProcessingDataLoaderIter:
                found._shutdown_workers()


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """A thread that outlives its test makes every later worker process a fresh interpreter.

    That takes a second where a fork takes milliseconds. And what other libraries fork beside a
    thread may inherit a lock that nobody will ever release.
    """
    before = {*threading.enumerate()}
    yield
    if {*threading.enumerate()} <= before:
        return
    _end_data_loaders()
    gc.collect()  # a loader that nobody holds any more ends its threads
    until = time.monotonic() + 5
    while left := {*threading.enumerate()} - before:
        for thread in left:
            if thread.name == "tqdm_monitor":
                thread.exit()  # type: ignore[attr-defined]
        assert time.monotonic() < until, f"threads outlive their test: {left}"
        time.sleep(0.01)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A consumer's own folders, empty, and nothing else of the environment."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    for variable in PRIVATE:
        monkeypatch.setenv(variable, str(folder / variable.lower()))
    for variable in ("PROVREG_POLICY", "PROVREG_REGISTRY", "PROVREG_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def bench(home: Path, tmp_path: Path) -> Bench:
    """An empty registry and a consumer who has seen nothing."""
    made = Bench(tmp_path)
    init(made.registry)
    return made


@pytest.fixture(scope="session")
def model_signing() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the real model_signing, of PROVREG_OMS_PYTHON or `.venv-oms`."""
    python = Path(os.environ.get("PROVREG_OMS_PYTHON", ROOT / ".venv-oms/bin/python"))
    if not python.exists():
        pytest.skip("needs .venv-oms (bash .ci/peers)")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "model_signing", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with a reader of `lines`."""
    return installer(tmp_path, monkeypatch)
