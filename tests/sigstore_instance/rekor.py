"""The transparency log: entries, inclusion proofs and checkpoints, in both API versions."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ed25519

from sigstore_instance import tree
from sigstore_instance.authority import Key, key_id, new_key, sign
from sigstore_instance.faults import Faults
from sigstore_instance.web import Reply, Request, Server

# Others use the log as well, before an entry and between it and its proof: a proof is more than one
# hash, and its tree is larger than its index.
_STRANGERS = 5


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Proof:
    """Where an entry stands in the tree, and the signed head of that tree."""

    index: int
    size: int
    root: bytes
    path: list[bytes]
    checkpoint: str


class Log:
    """An append-only log with a key and a name."""

    def __init__(self, name: str, key: Key, log_id: bytes, faults: Faults) -> None:
        self.name, self.key, self.log_id = name, key, log_id
        self._faults = faults
        self._leaves = _strangers()

    def append(self, body: bytes) -> Proof:
        index = len(self._leaves)
        self._leaves += [tree.leaf_hash(body), *_strangers()]
        leaves = self._leaves
        head = tree.root(leaves)
        if "checkpoint-of-another-tree" in self._faults:
            told = tree.note(self.name, len(leaves) + 1, tree.root([*leaves, b"\x00" * 32]))
        else:
            told = tree.note(self.name, len(leaves), head)
        # A key's name has no spaces; a log's origin may go on after it.
        key_name, signature = self.name.split()[0], self.sign(told.encode())
        signed = tree.signed_note(told, key_name, self.log_id[:4], signature)
        shown = index - 1 if "inclusion-proof-off-by-one" in self._faults else index
        return Proof(shown, len(leaves), head, tree.inclusion(index, leaves), signed)

    def sign(self, message: bytes) -> bytes:
        if "wrong-log-key" not in self._faults:
            return sign(self.key, message)
        is_ed25519 = isinstance(self.key, ed25519.Ed25519PrivateKey)
        return sign(ed25519.Ed25519PrivateKey.generate() if is_ed25519 else new_key(), message)


class RekorV1:
    """`POST /rekor1/api/v1/log/entries`: dsse/0.0.1 with a signed entry timestamp."""

    def __init__(self, server: Server, faults: Faults) -> None:
        key = new_key()
        self.url = f"{server.url}/rekor1"
        # Logs are named after their addresses, and sigstore-js insists on it.
        self.log = Log(f"{_name(self.url)} - 1", key, key_id(key), faults)
        server.routes["/rekor1/api/v1/log/entries"] = ("rekor", self._answer)

    def _answer(self, request: Request) -> Reply:
        proposed = json.loads(request.body)["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        [signature], [verifier] = envelope["signatures"], proposed["verifiers"]
        spec: dict[str, Any] = {
            "envelopeHash": _sha256(proposed["envelope"].encode()),
            "payloadHash": _sha256(base64.b64decode(envelope["payload"])),
            "signatures": [{"signature": signature["sig"], "verifier": verifier}],
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        proof = self.log.append(body)
        promised: dict[str, Any] = {
            "body": _b64(body),
            "integratedTime": int(time.time()),
            "logID": self.log.log_id.hex(),
            # The index over all of a log's shards: not that in this tree.
            "logIndex": proof.index + 1000,
        }
        verification = {
            "signedEntryTimestamp": _b64(self.log.sign(rfc8785.dumps(promised))),
            "inclusionProof": {
                "checkpoint": proof.checkpoint,
                "hashes": [one.hex() for one in proof.path],
                "logIndex": proof.index,
                "rootHash": proof.root.hex(),
                "treeSize": proof.size,
            },
        }
        return Reply.json({"0" * 64: promised | {"verification": verification}}, 201)


class RekorV2:
    """`POST /rekor2/api/v2/log/entries`: hashedrekord/0.0.2, whose time others must vouch for."""

    def __init__(self, server: Server, faults: Faults) -> None:
        self.url = f"{server.url}/rekor2"
        key, name = ed25519.Ed25519PrivateKey.generate(), _name(self.url)
        named = name.encode() + b"\n\x01" + key.public_key().public_bytes_raw()
        self.log = Log(name, key, hashlib.sha256(named).digest(), faults)
        server.routes["/rekor2/api/v2/log/entries"] = ("rekor", self._answer)

    def _answer(self, request: Request) -> Reply:
        asked = json.loads(request.body)["hashedRekordRequestV002"]
        entry = {
            "data": {"algorithm": "SHA2_256", "digest": asked["digest"]},
            "signature": asked["signature"],
        }
        body = rfc8785.dumps(
            {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": entry}}
        )
        proof = self.log.append(body)
        return Reply.json(
            {
                "canonicalizedBody": _b64(body),
                "inclusionProof": {
                    "checkpoint": {"envelope": proof.checkpoint},
                    "hashes": [_b64(one) for one in proof.path],
                    "logIndex": str(proof.index),
                    "rootHash": _b64(proof.root),
                    "treeSize": str(proof.size),
                },
                "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                "logId": {"keyId": _b64(self.log.log_id)},
                "logIndex": str(proof.index),
            },
            201,
        )


def _name(url: str) -> str:
    return url.removeprefix("http://")


def _strangers() -> list[bytes]:
    return [tree.leaf_hash(f"stranger {n}".encode()) for n in range(_STRANGERS)]


def _sha256(data: bytes) -> dict[str, Any]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
