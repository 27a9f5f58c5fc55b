"""A Sigstore on loopback, and versions signed at it, for other projects' software to verify."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sigstore_instance import Instance as Loopback
from sigstore_instance.instance import PERSON

from provreg.flows.ingest.request import Ingestion
from provreg.registry import Registry
from provreg.store.layout import object_key
from provreg.store.registry.statements import VERSIONS
from provreg.trust.sigstore.sign import Instance, KeylessSigner
from provreg.trust.sigstore.token import TokenSource


@dataclass(frozen=True)
class Files:
    """What a verifier is given: a head, a bundle over it, and what to trust."""

    folder: Path
    issuer: str

    @property
    def head(self) -> Path:
        return self.folder / "head.json"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle.json"

    @property
    def config(self) -> Path:
        return self.folder / "trust-config.json"

    @property
    def root(self) -> Path:
        return self.folder / "trusted-root.json"


@pytest.fixture(scope="session")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def keyless(loopback: Loopback, tmp_path: Path) -> Callable[[int], KeylessSigner]:
    """Signers with the loopback user's identity, by version of the log."""

    def signer(log: int) -> KeylessSigner:
        config = tmp_path / f"trust-config-{log}.json"
        config.write_text(json.dumps(loopback.trust_config(log)), "utf-8")
        tokens = TokenSource(None, {"PROVREG_IDENTITY_TOKEN": loopback.oidc.token()}, None)
        return KeylessSigner(Instance(config), tokens)

    return signer


@pytest.fixture
def files_of(bench: Any, loopback: Loopback) -> Callable[[Any, int], Files]:
    """Publishes a version, and copies its head and bundle as docs/guides/interop.md tells."""

    def published(signer: Any, log: int = 1) -> Files:
        data, registry = bench.pets(), bench.registry
        files = Files(bench.folder, loopback.oidc.issuer)
        files.root.write_text(json.dumps(loopback.trusted_root()), "utf-8")
        trusted: dict[str, Any]
        if isinstance(signer, KeylessSigner):
            trusted = {
                "identity": PERSON, "issuer": files.issuer, "trusted_root": files.root
            }  # fmt: skip
        else:
            (bench.folder / "signer.pub").write_text(signer.key.public.pem, "utf-8")
            trusted = {"key": bench.folder / "signer.pub"}
        opened = Registry.open(registry, **trusted)
        outcome = opened.ingest(Ingestion("pets", (data,), source="shelter"), signer)
        head = outcome.digest
        assert head is not None
        files.head.write_bytes((registry / object_key(head)).read_bytes())
        [bundle] = (registry / VERSIONS.prefix(head, "pets")).iterdir()
        files.bundle.write_bytes(bundle.read_bytes())
        files.config.write_text(json.dumps(loopback.trust_config(log)), "utf-8")
        return files

    return published
