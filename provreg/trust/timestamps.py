"""Timestamps over signatures with a key (RFC 3161): asked for when signing, verified in step 3.

A key's signature says nothing of when it was made. A timestamp authority's word over its bytes
does: they existed at that moment. Which authorities are believed, and from when to when, says the
trusted root, as for keyless signatures (docs/guides/keyless.md, "Verifying").
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
RESPONSE_LIMIT = 64 * 1024  # bytes; one has a few thousand
# An authority whose clock and ours are further apart than this: one of the two is wrong.
CLOCK_TOLERANCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _TimestampAuthority:
    """An authority of the trusted root: what verifies its word, and from when to when it counts."""

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
    """Verifies timestamps under one trusted root, without any network.

    Loading the root waits for the first timestamp.
    """

    def __init__(self, root: TrustedRoot = PUBLIC_GOOD) -> None:
        self.root = root

    def __call__(self, signature: bytes, stamps: Sequence[bytes]) -> datetime:
        """When `signature` existed at the latest: the earliest of its `stamps`, at least one.

        `stamps` are DER RFC 3161 responses. Raises NotTrustedError (step 3) unless an authority of
        the trusted root vouches for each of them, UsageError where that root is none.
        """
        return min(self._moment(signature, stamp) for stamp in stamps)

    def _moment(self, signature: bytes, stamp: bytes) -> datetime:
        try:
            response = _decoded(stamp)
            if any(authority.vouches(response, signature) for authority in self._believed):
                return response.tst_info.gen_time.astimezone(UTC)
        except UNREADABLE:
            why = "the timestamp of the signature cannot be read"
        else:
            why = f"no timestamp authority of {self.root.origin} vouches for the signature's time"
        raise NotTrustedError(
            why, step=3, hint="another authority's trusted root is given with --trusted-root FILE"
        )

    @cached_property
    def _believed(self) -> tuple[_TimestampAuthority, ...]:
        try:
            authorities = json.loads(self.root.text()).get("timestampAuthorities", [])
            return tuple(
                _read(one) for one in authorities if len(one["certChain"]["certificates"]) > 1
            )
        except UNREADABLE as error:
            raise UsageError(
                f"{self.root.origin} cannot be used: {quoted(str(error))}",
                hint="ask who runs the authority for its trusted_root.json",
            ) from None


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """The authority at `url`, which the trusted `root` must know. No call outlasts `limit` seconds.

    Raises UsageError for what is no web address.
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
                f"{quoted(self.url)} is not the address of a timestamp authority",
                hint="write --timestamp https://…",
            )

    def stamp(self, signature: bytes) -> bytes:
        """A timestamp over `signature`, DER, which verifies.

        Raises StorageError where the authority is down, slow or unreadable, NotTrustedError (step
        3) where what it says does not verify, or names another time than this machine's clock.
        """
        from rfc3161_client import TimestampRequestBuilder
        from rfc3161_client.base import HashAlgorithm

        request = TimestampRequestBuilder(signature, HashAlgorithm.SHA256).build()
        data = call_with_timeout(TSA, self.limit, lambda: self._post(request.as_bytes()))
        try:
            nonce = _decoded(data).tst_info.nonce
        except UNREADABLE:
            raise StorageError(f"{TSA} answered what cannot be read", hint=AGAIN) from None
        if nonce != request.nonce:
            raise _lie("answered another request than ours")
        try:
            moment = TimestampVerifier(self.root)(signature, [data])
        except NotTrustedError as error:
            raise _lie(f"gave a timestamp that does not verify: {error.message}") from None
        now = datetime.now(UTC)
        if abs(moment - now) > CLOCK_TOLERANCE:
            raise _lie(f"says it is {moment:%Y-%m-%d %H:%M:%SZ}, this machine {now:%H:%M:%SZ}")
        return data

    def _post(self, request: bytes) -> bytes:
        import requests

        with requests.post(
            self.url,
            data=request,
            headers={"Content-Type": "application/timestamp-query"},
            timeout=self.limit,
            # Whoever answers for another address is to be named by the user.
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
    # Some of what a response lacks is only noticed when it is asked for.
    _ = response.tst_info
    return response


def _read(document: Any) -> _TimestampAuthority:
    """An entry of a trusted root's `timestampAuthorities` (protobuf-specs, trustroot v1)."""
    from rfc3161_client import VerifierBuilder

    leaf, *between, root = (
        x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"], validate=True))
        for one in document["certChain"]["certificates"]
    )
    period = document["validFor"]
    start, end = (
        None if period.get(name) is None else datetime.fromisoformat(period[name])
        for name in ("start", "end")
    )
    if start is None or start.tzinfo is None or (end is not None and end.tzinfo is None):
        raise ValueError("a timestamp authority without the time it counts from")
    verifier = VerifierBuilder(tsa_certificate=leaf, intermediates=between, roots=[root]).build()
    return _TimestampAuthority(verifier, start, end)


def _lie(what: str) -> NotTrustedError:
    return NotTrustedError(
        f"{TSA} {what}",
        step=3,
        hint="nothing was published: give its trusted root with --trusted-root FILE or ask another",
    )
