"""Timestamps over signatures with a key (RFC 3161): requested when signing, verified in step 3.

A key's signature has no time. A timestamp authority attests that its bytes existed at a time. The
trusted root names the authorities and their validity, as for keyless signatures
(docs/guides/keyless.md, "Verifying").
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography import x509

from provreg.core.encoding.text import quoted
from provreg.errors import NotTrustedError, StorageError, UsageError
from provreg.trust.sigstore.adapter import AGAIN, CALL_LIMIT, UNREADABLE, call_with_timeout
from provreg.trust.sigstore.root import PUBLIC_GOOD, TrustedRoot

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse, Verifier

TSA = "the timestamp authority"
RESPONSE_LIMIT = 64 * 1024  # bytes; typical responses have a few thousand
# If the clocks of the authority and this machine differ more, one of them is wrong.
CLOCK_TOLERANCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _TimestampAuthority:
    """An authority of the trusted root: the verifier of its timestamps, and its validity."""

    verifier: Verifier
    start: datetime
    end: datetime | None

    def vouches(self, stamp: TimeStampResponse, signature: bytes) -> bool:
        from rfc3161_client import VerificationError

        moment = stamp.tst_info.gen_time
        if moment < self.start or (self.end is not None and moment >= self.end):
            return False
        try:
            return self.verifier.verify_message(stamp, signature)
        except (VerificationError, *UNREADABLE):
            return False


class TimestampVerifier:
    """Verifies timestamps under a trusted root, without network.

    Loads the root at the first timestamp.
    """

    def __init__(self, root: TrustedRoot = PUBLIC_GOOD) -> None:
        self.root = root

    def __call__(self, signature: bytes, stamps: Sequence[bytes]) -> datetime:
        """The time by which `signature` existed: the earliest of its `stamps`, at least one.

        `stamps` are DER RFC 3161 responses. Raises NotTrustedError (step 3) unless an authority of
        the trusted root made each of them, UsageError for an invalid root.
        """
        return min(self._moment(signature, stamp) for stamp in stamps)

    def _moment(self, signature: bytes, stamp: bytes) -> datetime:
        try:
            response = _decoded(stamp)
            if any(authority.vouches(response, signature) for authority in self._authorities):
                return response.tst_info.gen_time.astimezone(UTC)
        except UNREADABLE:
            why = "the timestamp of the signature cannot be read"
        else:
            why = f"no timestamp authority of {self.root.origin} attests the time of the signature"
        raise NotTrustedError(
            why,
            step=3,
            hint="for another authority, pass its trusted root with --trusted-root FILE",
        )

    @cached_property
    def _authorities(self) -> tuple[_TimestampAuthority, ...]:
        try:
            authorities = json.loads(self.root.text()).get("timestampAuthorities", [])
            return tuple(
                _read(authority)
                for authority in authorities
                if len(authority["certChain"]["certificates"]) > 1
            )
        except UNREADABLE as error:
            raise UsageError(
                f"{self.root.origin} cannot be used: {quoted(str(error))}",
                hint="ask the authority's operator for its trusted_root.json",
            ) from None


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """The authority at `url`, which must be in the trusted `root`; UsageError for an invalid URL.

    Calls take at most `limit` seconds.
    """

    url: str
    root: TrustedRoot = PUBLIC_GOOD
    limit: float = CALL_LIMIT

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            sound = False
        if not sound:
            raise UsageError(
                f"not the URL of a timestamp authority: {quoted(self.url)}",
                hint="write --timestamp https://…",
            )

    def stamp(self, signature: bytes) -> bytes:
        """A verified timestamp over `signature`, DER.

        Raises StorageError if the authority is down, slow or unreadable, NotTrustedError (step 3)
        if its timestamp does not verify, or differs too much from this machine's clock.
        """
        from rfc3161_client import TimestampRequestBuilder
        from rfc3161_client.base import HashAlgorithm

        request = TimestampRequestBuilder(signature, HashAlgorithm.SHA256).build()
        data = call_with_timeout(TSA, self.limit, lambda: self._post(request.as_bytes()))
        try:
            nonce = _decoded(data).tst_info.nonce
        except UNREADABLE:
            raise StorageError(f"{TSA} returned an unreadable response", hint=AGAIN) from None
        if nonce != request.nonce:
            raise _invalid("responded to another request")
        try:
            moment = TimestampVerifier(self.root)(signature, [data])
        except NotTrustedError as error:
            raise _invalid(f"returned a timestamp that does not verify: {error.message}") from None
        now = datetime.now(UTC)
        if abs(moment - now) > CLOCK_TOLERANCE:
            raise _invalid(
                f"has the time {moment:%Y-%m-%d %H:%M:%SZ}, this machine {now:%H:%M:%SZ}"
            )
        return data

    def _post(self, request: bytes) -> bytes:
        import requests

        with requests.post(
            self.url,
            data=request,
            headers={"Content-Type": "application/timestamp-query"},
            timeout=self.limit,
            # Only the URL of the user is trusted.
            allow_redirects=False,
            stream=True,
        ) as response:
            response.raise_for_status()
            data = b""
            for piece in response.iter_content(RESPONSE_LIMIT):
                data += piece
                if len(data) > RESPONSE_LIMIT:
                    raise ValueError(f"more than {RESPONSE_LIMIT} bytes")
        return data


def _decoded(stamp: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response

    response = decode_timestamp_response(stamp)
    # Some missing fields only show when they are accessed.
    _ = response.tst_info
    return response


def _read(document: Any) -> _TimestampAuthority:
    """An entry of a trusted root's `timestampAuthorities` (protobuf-specs, trustroot v1)."""
    from rfc3161_client import VerifierBuilder

    leaf, *between, root = (
        x509.load_der_x509_certificate(base64.b64decode(certificate["rawBytes"], validate=True))
        for certificate in document["certChain"]["certificates"]
    )
    period = document["validFor"]
    start, end = (
        None if period.get(name) is None else datetime.fromisoformat(period[name])
        for name in ("start", "end")
    )
    if start is None or start.tzinfo is None or (end is not None and end.tzinfo is None):
        raise ValueError("a timestamp authority without a start of its validity")
    verifier = VerifierBuilder(tsa_certificate=leaf, intermediates=between, roots=[root]).build()
    return _TimestampAuthority(verifier, start, end)


def _invalid(what: str) -> NotTrustedError:
    return NotTrustedError(
        f"{TSA} {what}",
        step=3,
        hint="nothing was published: pass its trusted root with --trusted-root, or use another",
    )
