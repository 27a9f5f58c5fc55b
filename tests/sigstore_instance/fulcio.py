"""The certificate authority: short-lived certificates for tokens, with an embedded SCT."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sigstore_instance.authority import Authority, key_id, new_key, sign
from sigstore_instance.der import OCTETS, UTF8, der
from sigstore_instance.faults import Faults
from sigstore_instance.oidc import Oidc
from sigstore_instance.web import Reply, Request, Server

LIFETIME = timedelta(minutes=10)
ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
# What a token says of a CI run, and where Fulcio puts it; here the repository is a whole URI.
RUN = {
    "repository": x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.12"),
    "ref": x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.14"),
    "environment": x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.23"),
}
NO_RUN: Mapping[str, str] = {}
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_SHA256, _ECDSA = 4, 3  # RFC 5246 7.4.1.4.1


class Fulcio:
    """`POST /api/v2/signingCert`."""

    def __init__(self, server: Server, faults: Faults, oidc: Oidc) -> None:
        self.authority = Authority.new("fulcio")
        self.ct_key = new_key()
        self._faults = faults
        self._oidc = oidc
        server.routes["/api/v2/signingCert"] = ("fulcio", self._answer)

    def _answer(self, request: Request) -> Reply:
        try:
            claims = self._oidc.verify(request.headers["Authorization"].removeprefix("Bearer "))
        except jwt.InvalidTokenError as error:
            return Reply.json({"code": 16, "message": str(error)}, 401)
        pem = base64.b64decode(json.loads(request.body)["certificateSigningRequest"])
        run = {name: str(claims[name]) for name in RUN if name in claims}
        leaf = self.certify(x509.load_pem_x509_csr(pem).public_key(), str(claims["sub"]), run)
        chain = [leaf, self.authority.certificate]
        certificates = [one.public_bytes(Encoding.PEM).decode() for one in chain]
        return Reply.json(
            {"signedCertificateEmbeddedSct": {"chain": {"certificates": certificates}}}
        )

    def certify(
        self, public: object, subject: str, run: Mapping[str, str] = NO_RUN
    ) -> x509.Certificate:
        """A certificate for `subject`, an e-mail address or a URI, with what its CI run was for."""
        now, issuer = datetime.now(UTC), self._oidc.issuer
        if "expired-certificate" in self._faults:
            now -= timedelta(hours=1)
        if "identity-of-another-issuer" in self._faults:
            issuer = "https://mallory.example"
        if "certificate-for-another-key" in self._faults:
            public = new_key().public_key()
        named = x509.UniformResourceIdentifier if "://" in subject else x509.RFC822Name
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        builder = (
            self.authority.issue(x509.Name([]), public, now, now + LIFETIME)
            .add_extension(usages, critical=False)
            .add_extension(x509.SubjectAlternativeName([named(subject)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(ISSUER_V1, issuer.encode()), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(ISSUER_V2, der(UTF8, issuer.encode())), critical=False
            )
        )
        for name, text in run.items():
            claim = x509.UnrecognizedExtension(RUN[name], der(UTF8, text.encode()))
            builder = builder.add_extension(claim, critical=False)
        unlogged = builder.sign(self.authority.key, SHA256())
        listed = der(OCTETS, self._sct_list(unlogged.tbs_certificate_bytes))
        return builder.add_extension(
            x509.UnrecognizedExtension(_SCT_LIST, listed), critical=False
        ).sign(self.authority.key, SHA256())

    def _sct_list(self, tbs: bytes) -> bytes:
        """One signed certificate timestamp over a precertificate. Source: RFC 6962 3.2, 3.3."""
        moment = int(time.time() * 1000)
        signed = struct.pack("!BBQH", 0, 0, moment, 1) + key_id(self.authority.key)
        signed += len(tbs).to_bytes(3, "big") + tbs + struct.pack("!H", 0)
        key = new_key() if "bad-sct" in self._faults else self.ct_key
        signature = sign(key, signed)
        sct = struct.pack("!B32sQH", 0, key_id(self.ct_key), moment, 0)
        sct += struct.pack("!BBH", _SHA256, _ECDSA, len(signature)) + signature
        return struct.pack("!HH", len(sct) + 2, len(sct)) + sct
