"""The timestamp authority. Source: RFC 3161, RFC 5652 (signed data), RFC 5816."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sigstore_instance.authority import Authority, name, new_key, sign
from sigstore_instance.der import (
    EXPLICIT_0,
    INTEGER,
    NULL,
    OCTETS,
    SEQUENCE,
    TIME,
    children,
    der,
    integer,
    oid,
    set_of,
)
from sigstore_instance.faults import Faults
from sigstore_instance.web import Reply, Request, Server

# When the trusted root begins to believe this authority; its certificate is older.
BELIEVED_SINCE = timedelta(days=30)

_SHA256 = der(SEQUENCE, oid("2.16.840.1.101.3.4.2.1"), der(NULL))
_ECDSA_SHA256 = der(SEQUENCE, oid("1.2.840.10045.4.3.2"))
_SIGNED_DATA = oid("1.2.840.113549.1.7.2")
_TST_INFO = oid("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE = oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2 = oid("1.2.840.113549.1.9.16.2.47")
_POLICY = oid("1.3.6.1.4.1.57264.2")


class Tsa:
    """`POST /tsa`."""

    def __init__(self, server: Server, faults: Faults) -> None:
        self.authority = Authority.new("tsa")
        self.url = f"{server.url}/tsa"
        self._key = new_key()
        self._faults = faults
        root, now = self.authority, datetime.now(UTC)
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        until = now + timedelta(days=300)
        self.certificate = (
            root.issue(name("tsa leaf"), self._key.public_key(), now - timedelta(days=300), until)
            .add_extension(usages, critical=True)
            .sign(root.key, SHA256())
        )
        server.routes["/tsa"] = ("tsa", self._answer)

    def _answer(self, request: Request) -> Reply:
        _, imprint, *options = children(request.body)
        nonce = next((one for one in options if one[0] == INTEGER), b"")
        if "timestamp-of-another-request" in self._faults:
            nonce = integer(1)
        moment = datetime.now(UTC)
        if "timestamp-outside-certificate" in self._faults:
            moment -= timedelta(days=1)
        if "timestamp-outside-authority" in self._faults:
            moment -= 2 * BELIEVED_SINCE
        if "timestamp-of-other-bytes" in self._faults:
            imprint = der(SEQUENCE, _SHA256, der(OCTETS, bytes(32)))
        return Reply(self._response(imprint, nonce, moment), 201, "application/timestamp-reply")

    def _response(self, imprint: bytes, nonce: bytes, moment: datetime) -> bytes:
        when = der(TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())
        serial = integer(x509.random_serial_number())
        info = der(SEQUENCE, integer(1), _POLICY, imprint, serial, when, nonce)
        certificate = self.certificate.public_bytes(Encoding.DER)
        attributes = sorted(
            (
                _attribute(_CONTENT_TYPE, _TST_INFO),
                _attribute(_MESSAGE_DIGEST, der(OCTETS, hashlib.sha256(info).digest())),
                _attribute(_SIGNING_CERTIFICATE_V2, _signing_certificate(certificate)),
            )
        )
        signer = der(
            SEQUENCE,
            integer(1),
            der(
                SEQUENCE,
                self.certificate.issuer.public_bytes(),
                integer(self.certificate.serial_number),
            ),
            _SHA256,
            # Emitted under the tag [0], but signed under that of a SET.
            der(EXPLICIT_0, *attributes),
            _ECDSA_SHA256,
            der(OCTETS, sign(self._key, set_of(*attributes))),
        )
        content = der(SEQUENCE, _TST_INFO, der(EXPLICIT_0, der(OCTETS, info)))
        signed = der(
            SEQUENCE,
            integer(3),
            set_of(_SHA256),
            content,
            der(EXPLICIT_0, certificate),
            set_of(signer),
        )
        token = der(SEQUENCE, _SIGNED_DATA, der(EXPLICIT_0, signed))
        granted = der(SEQUENCE, integer(0))
        return der(SEQUENCE, granted, token)


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der(SEQUENCE, kind, set_of(value))


def _signing_certificate(certificate: bytes) -> bytes:
    """ESSCertIDv2, whose algorithm is SHA-256 by default."""
    digest = der(OCTETS, hashlib.sha256(certificate).digest())
    return der(SEQUENCE, der(SEQUENCE, der(SEQUENCE, digest)))
