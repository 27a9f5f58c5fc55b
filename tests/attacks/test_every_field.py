"""Every single field of a bundle, a statement and a head, changed: refused, or on a list.

The lists stand in docs/concepts/verification.md, "What can be changed"; a test compares them.
Keyless bundles are in tests/trust/sigstore/test_verify.py, their list in docs/guides/keyless.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mutations import Where, mutations, written
from sigstore_instance import Instance as Loopback

from provreg.core.encoding.names import Reference
from provreg.core.statements.statement import version_statement
from provreg.errors import FormatError, NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.steps import verify
from provreg.trust.bundle import TrustAnchors, key_bundle, parse_bundle, verify_bundle
from provreg.trust.keys import PrivateKey, generate
from provreg.trust.sigstore.root import TrustedRoot
from provreg.trust.timestamps import TimestampAuthority, TimestampVerifier

if TYPE_CHECKING:
    from tests.conftest import Bench

DOCUMENT = (Path(__file__).parents[2] / "docs/concepts/verification.md").read_text("utf-8")
STATEMENT = version_statement(
    dataset="pets", version=3, head="sha256:" + "ab" * 32, uid="01" * 16,
    root="blake3:" + "cd" * 32, samples=5,
)  # fmt: skip
STAMPS = "verificationMaterial.timestampVerificationData"

# Fields of a key's bundle whose change is accepted: nothing of the verdict comes from them, but for
# timestamps, without which a signature has no time.
IN_A_KEY_BUNDLE = frozenset(
    {
        "dsseEnvelope.signatures.0.keyid",
        "verificationMaterial.publicKey",
        "verificationMaterial.publicKey.hint",
        STAMPS,
    }
)
# Fields of a head whose change nobody notices in steps 1 to 11 if a trusted signer signs it.
IN_A_SIGNED_HEAD = frozenset(
    {"changes.*", "classes", "created", "message", "reading", "reading.*", "reused_digests"}
)


def covered(at: Where, by: frozenset[str]) -> str | None:
    """Which of `by` says that this place may change."""
    return next((one for one in by if fnmatchcase(written(at), one)), None)


# ---- bundles with a key


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.mark.parametrize("algorithm", ["p256", "ed25519"])
@pytest.mark.parametrize("stamped", [False, True], ids=["", "stamped"])
def test_every_field_of_a_key_bundle(loopback: Loopback, algorithm: Any, stamped: bool) -> None:
    key = generate(algorithm)
    root = TrustedRoot(loopback.trusted_root(), "loopback")
    stamp = TimestampAuthority(loopback.tsa.url, root).stamp if stamped else None
    trust = TrustAnchors({key.public.fingerprint: key.public}, None, TimestampVerifier(root))
    data = key_bundle(STATEMENT, key, stamp=stamp)
    good = verify_bundle(parse_bundle(data), trust)
    without_time = replace(good, signed_at=None, proof="claimed", stamped=False)
    tried, accepted = 0, set()
    for at, document in mutations(json.loads(data)):
        tried += 1
        try:
            bundle = parse_bundle(json.dumps(document).encode())
            made = verify_bundle(bundle, trust)
        except NotTrustedError:
            continue
        assert bundle.payload == STATEMENT
        # Of a timestamp, CMS leaves some bytes unsigned (docs/guides/keyless.md).
        assert made == good or (made == without_time and written(at).startswith(STAMPS)), at
        place = STAMPS if written(at).startswith(STAMPS) else written(at)
        assert place in IN_A_KEY_BUNDLE, at
        accepted.add(place)
    assert tried > 300
    assert accepted == IN_A_KEY_BUNDLE - (set() if stamped else {STAMPS})


# ---- statements


def test_every_field_of_a_statement(bench: Bench) -> None:
    """Signed by a trusted key, beside the head that it is not quite of."""
    head = bench.ingest(bench.pets()).digest
    assert head is not None
    registry = bench.open()
    [signature] = bench.signatures(head).iterdir()
    envelope = json.loads(signature.read_bytes())["dsseEnvelope"]
    statement = base64.b64decode(envelope["payload"])
    key = bench.signer().key
    tried = 0
    for data in spelled_otherwise(statement):
        tried += 1
        lie = key_bundle(data, key)
        bench.overwrite(signature, b"")
        signature.unlink()
        signature = bench.signatures(head) / f"sha256-{hashlib.sha256(lie).hexdigest()}"
        bench.overwrite(signature, lie)
        with pytest.raises(NotTrustedError) as caught:
            registry.verify("pets")
        assert caught.value.step == 5
    assert tried > 150


def spelled_otherwise(statement: bytes) -> Iterator[bytes]:
    """Every field changed, and the same statement in other bytes."""
    document = json.loads(statement)
    yield statement + b"\n"
    yield json.dumps(document).encode()
    for _, mutated in mutations(document, every=7):
        yield json.dumps(mutated, sort_keys=True, separators=(",", ":")).encode()


# ---- heads


class Attack:
    """A consumer who has seen pets@1, and a registry in which pets@2 is what the attacker likes."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        first = bench.ingest(bench.pets(), labeler="ann")
        bench.open().verify("pets@1")
        (bench.folder / "pets/cat/1.jpg").rename(bench.folder / "pets/dog/new.jpg")
        more = {"cat/9.jpg": b"new", "dog/2.jpg": b"other bytes", ".hidden": b""}
        second = bench.ingest(bench.write("pets", more), labeler="ben", message="more")
        assert first.digest is not None
        assert second.digest is not None
        assert second.head is not None
        self.digest, self.head = second.digest, second.head
        self.document = json.loads(self.head.to_bytes())
        self._seen: Any = None
        self.forget()
        # Opened once: opening costs more than a verification.
        self._workspace: Workspace = bench.open().workspace
        self._trust: Trust = bench.trust()
        self._key: PrivateKey = bench.signer().key

    def forget(self) -> None:
        self._bench.forget("PROVREG_STATE")
        self._bench.point(2, self.digest)
        self._bench.open().verify("pets@1")

    def put(self, document: Any, *, signed: bool) -> str:
        """A head stored as it is, version 2 named after it, and signed if that can be."""
        bench = self._bench
        data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = f"sha256:{hashlib.sha256(data.encode()).hexdigest()}"
        bench.overwrite(bench.object(digest), data.encode())
        bench.point(2, digest)
        if not signed:
            shutil.copytree(bench.signatures(self.digest), bench.signatures(digest),
                            dirs_exist_ok=True)  # fmt: skip
            return digest
        bundle = key_bundle(self._statement(document, digest), self._key)
        name = f"sha256-{hashlib.sha256(bundle).hexdigest()}"
        bench.overwrite(bench.signatures(digest) / name, bundle)
        return digest

    def _statement(self, document: Any, digest: str) -> bytes:
        """Of the facts that the mutated head has, as far as they can be facts of a statement."""
        facts = {
            name: document.get(name) if isinstance(document, dict) else None
            for name in ("uid", "root", "samples")
        }
        try:
            return version_statement(dataset="pets", version=2, head=digest, **facts)
        except (FormatError, TypeError):
            head = self.head
            return version_statement(
                dataset="pets", version=2, head=digest, uid=head.uid, root=head.root,
                samples=head.samples,
            )  # fmt: skip

    def refusal(self) -> int | None:
        """The step that refuses pets@2; None where it verifies."""
        try:
            verify(self._workspace, Reference.parse("pets@2"), self._trust)
        except NotTrustedError as error:
            return error.step
        return None


def test_every_field_of_a_head_by_who_cannot_sign(bench: Bench) -> None:
    """Stored anew, the number points to it, and the true one's signatures are copied beside it."""
    attack = Attack(bench)
    tried = 0
    for at, document in mutations(attack.document, every=8):
        tried += 1
        attack.put(document, signed=False)
        assert attack.refusal() in (4, 5), at
    assert tried > 700
    attack.forget()
    assert attack.refusal() is None


def test_every_field_of_a_head_by_a_trusted_signer_who_lies(bench: Bench) -> None:
    """Whoever signs can say what they like; what contradicts itself or the entries is refused."""
    attack = Attack(bench)
    accepted: dict[str, Where] = {}
    steps = set()
    for at, document in mutations(attack.document, every=16):
        attack.put(document, signed=True)
        step = attack.refusal()
        steps.add(step)
        if step is not None:
            continue
        place = covered(at, IN_A_SIGNED_HEAD)
        assert place is not None, (at, document)
        accepted.setdefault(place, at)
        attack.forget()
    assert set(accepted) == IN_A_SIGNED_HEAD
    assert steps == {None, 4, 5, 9, 10, 11}


def test_the_lists_stand_in_the_document() -> None:
    section = DOCUMENT[DOCUMENT.index("## What can be changed") :]
    tables = re.split(r"^\| field .*$", section, flags=re.MULTILINE)
    listed = [set(re.findall(r"`([a-z][\w.*]*)`", "".join(first_cells(table)))) for table in tables]
    assert listed[1:] == [set(IN_A_KEY_BUNDLE), set(IN_A_SIGNED_HEAD)]


def first_cells(table: str) -> Iterator[str]:
    for line in table.splitlines():
        if line.startswith("| "):
            yield line.split("|")[1]
