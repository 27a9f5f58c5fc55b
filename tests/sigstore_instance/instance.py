"""The instance: its services together, and the files by which clients come to trust it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sigstore_instance.authority import key_id, spki
from sigstore_instance.faults import Faults
from sigstore_instance.fulcio import Fulcio
from sigstore_instance.oidc import Oidc
from sigstore_instance.rekor import Log, RekorV1, RekorV2
from sigstore_instance.tsa import BELIEVED_SINCE, Tsa
from sigstore_instance.web import Server

PERSON = "alice@example.org"


class Instance:
    """A Sigstore whose one user is PERSON. Made by `Instance.running`."""

    def __init__(self) -> None:
        self._faults = Faults()
        self.server = Server(self._faults)
        self.oidc = Oidc(self.server, self._faults, PERSON)
        self.fulcio = Fulcio(self.server, self._faults, self.oidc)
        self.rekor: dict[int, RekorV1 | RekorV2] = {
            1: RekorV1(self.server, self._faults),
            2: RekorV2(self.server, self._faults),
        }
        self.tsa = Tsa(self.server, self._faults)

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Instance]:
        instance = cls()
        with instance.server.running():
            yield instance

    def inject(self, *names: str) -> AbstractContextManager[None]:
        """Faults by the names in `faults`, until the block ends."""
        return self._faults.inject(*names)

    def trusted_root(self) -> dict[str, Any]:
        """What clients verify against (protobuf-specs, trustroot v1)."""
        tsa = _authority(self.tsa.url, [self.tsa.certificate, self.tsa.authority.certificate])
        tsa["validFor"] = _since(BELIEVED_SINCE)
        ct = self.fulcio.ct_key
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                _log(rekor.url, rekor.log, "PKIX_ED25519" if version == 2 else None)
                for version, rekor in self.rekor.items()
            ],
            "certificateAuthorities": [
                _authority(self.server.url, [self.fulcio.authority.certificate])
            ],
            "ctlogs": [_transparency_log(self.server.url, spki(ct), key_id(ct), None)],
            "timestampAuthorities": [tsa],
        }

    def trust_config(self, rekor: int = 1, *, timestamps: bool | None = None) -> dict[str, Any]:
        """What clients sign with: the log of this version, by default with timestamps if needed."""
        stamped = rekor == 2 if timestamps is None else timestamps
        service = {"validFor": _since(timedelta(days=1)), "operator": "loopback"}
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service | {"url": self.server.url, "majorApiVersion": 1}],
            "oidcUrls": [service | {"url": self.oidc.issuer, "majorApiVersion": 1}],
            "rekorTlogUrls": [service | {"url": self.rekor[rekor].url, "majorApiVersion": rekor}],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [service | {"url": self.tsa.url, "majorApiVersion": 1}] if stamped else [],
            "tsaConfig": {"selector": "ANY"},
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": signing,
        }


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _since(age: timedelta) -> dict[str, str]:
    return {"start": (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _log(url: str, log: Log, details: str | None) -> dict[str, Any]:
    return _transparency_log(url, spki(log.key), log.log_id, details)


def _transparency_log(url: str, key: bytes, log_id: bytes, details: str | None) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _b64(key),
            "keyDetails": details or "PKIX_ECDSA_P256_SHA_256",
            "validFor": _since(timedelta(days=1)),
        },
        "logId": {"keyId": _b64(log_id)},
    }


def _authority(url: str, chain: list[x509.Certificate]) -> dict[str, Any]:
    return {
        "subject": {"organization": "sigstore on loopback", "commonName": "loopback"},
        "uri": url,
        "certChain": {
            "certificates": [{"rawBytes": _b64(one.public_bytes(Encoding.DER))} for one in chain]
        },
        "validFor": _since(timedelta(days=1)),
    }
