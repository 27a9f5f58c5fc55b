"""Timestamps over signatures with a key, by an authority on loopback that lies or is down."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sigstore_instance import BREAKDOWNS
from sigstore_instance import Instance as Loopback
from sigstore_instance.web import Reply

from provreg.core.encoding.canonical import canonical
from provreg.core.policy.policy import Signature
from provreg.core.statements.statement import version_statement
from provreg.errors import NotTrustedError, ProvregError, StorageError, UsageError
from provreg.trust.bundle import TrustAnchors, parse_bundle, verify_bundle
from provreg.trust.keys import PrivateKey
from provreg.trust.signers import KeySigner
from provreg.trust.sigstore.root import PUBLIC_GOOD, TrustedRoot
from provreg.trust.timestamps import RESPONSE_LIMIT, TimestampAuthority, TimestampVerifier

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "bundle.v1.json").read_text("utf-8"))
STATEMENT = version_statement(
    dataset="cifar10",
    version=3,
    head="sha256:" + "ab" * 32,
    uid="0123456789abcdef" * 2,
    root="blake3:" + "cd" * 32,
    samples=50000,
)
SIGNATURE = b"the bytes of a signature"
SLOW = {"drips", "hangs"}


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture(scope="module")
def root(loopback: Loopback) -> TrustedRoot:
    return TrustedRoot(loopback.trusted_root(), "loopback")


@pytest.fixture
def authority(loopback: Loopback, root: TrustedRoot) -> TimestampAuthority:
    return TimestampAuthority(loopback.tsa.url, root, limit=30)


@pytest.fixture(scope="module")
def stamp(loopback: Loopback, root: TrustedRoot) -> bytes:
    return TimestampAuthority(loopback.tsa.url, root).stamp(SIGNATURE)


def changed_root(loopback: Loopback, **fields: Any) -> TrustedRoot:
    document = loopback.trusted_root()
    document["timestampAuthorities"][0] |= fields
    return TrustedRoot(document, "loopback")


def anchors(root: TrustedRoot, key: PrivateKey) -> TrustAnchors:
    keys = {key.public.fingerprint: key.public}
    return TrustAnchors(keys, timestamps=TimestampVerifier(root))


def refused(root: TrustedRoot, signature: bytes, *stamps: bytes) -> NotTrustedError:
    with pytest.raises(NotTrustedError) as caught:
        TimestampVerifier(root)(signature, stamps)
    assert caught.value.step == 3
    return caught.value


def test_timestamped_signature_has_a_time_that_is_proven(
    authority: TimestampAuthority, root: TrustedRoot, key: PrivateKey
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    data = KeySigner(key, authority.stamp).sign(STATEMENT)
    bundle = parse_bundle(data)
    assert bundle.payload == STATEMENT
    Draft202012Validator(SCHEMA).validate(json.loads(data))
    made = verify_bundle(bundle, anchors(root, key))
    assert made.signed_at is not None
    assert before < made.signed_at < datetime.now(UTC)
    assert made == Signature(key=key.public.fingerprint, signed_at=made.signed_at, proof="tsa")


def test_timestamp_is_over_the_signature(
    authority: TimestampAuthority, root: TrustedRoot, p256: PrivateKey
) -> None:
    """One that is moved to another signature by the same key, over the same statement."""
    signer = KeySigner(p256, authority.stamp)
    one, two = (json.loads(signer.sign(STATEMENT)) for _ in range(2))
    one["verificationMaterial"] = two["verificationMaterial"]
    with pytest.raises(NotTrustedError, match="attests the time of the signature"):
        verify_bundle(parse_bundle(canonical(one)), anchors(root, p256))


def test_earliest_of_several_timestamps_counts_and_all_must_hold(
    authority: TimestampAuthority, loopback: Loopback, root: TrustedRoot, stamp: bytes
) -> None:
    moment = TimestampVerifier(root)(SIGNATURE, [stamp])
    with loopback.inject("timestamp-outside-certificate"):  # a day ago
        early = authority._post(_request(SIGNATURE))
    verifier = TimestampVerifier(root)
    assert verifier(SIGNATURE, [stamp, early]) == verifier(SIGNATURE, [early, stamp])
    assert verifier(SIGNATURE, [stamp, early]) < moment - timedelta(hours=23)
    refused(root, SIGNATURE, stamp, authority.stamp(b"another"))
    refused(root, SIGNATURE, stamp, b"\x30\x00")


def _request(signature: bytes) -> bytes:
    from rfc3161_client import TimestampRequestBuilder
    from rfc3161_client.base import HashAlgorithm

    return TimestampRequestBuilder(signature, HashAlgorithm.SHA256).build().as_bytes()


@pytest.mark.parametrize(
    ("start", "end", "holds"),
    [(-1, None, True), (-1, 1, True), (1, None, False), (-2, -1, False)],
)
def test_authority_counts_only_while_the_trusted_root_says(
    loopback: Loopback, stamp: bytes, start: int, end: int | None, holds: bool
) -> None:
    now = datetime.now(UTC)
    days = {"start": start} if end is None else {"start": start, "end": end}
    period = {name: (now + timedelta(days=day)).isoformat() for name, day in days.items()}
    root = changed_root(loopback, validFor=period)
    if holds:
        assert TimestampVerifier(root)(SIGNATURE, [stamp])
    else:
        refused(root, SIGNATURE, stamp)


def test_other_authorities_than_the_trusted_roots_are_refused(
    loopback: Loopback, stamp: bytes
) -> None:
    with Loopback.running() as other:
        theirs = TrustedRoot(other.trusted_root(), "another")
        refused(theirs, SIGNATURE, stamp)
        # The name is the same; the key is not.
        chain = other.trusted_root()["timestampAuthorities"][0]["certChain"]
        refused(changed_root(loopback, certChain=chain), SIGNATURE, stamp)
    assert "--trusted-root" in refused(PUBLIC_GOOD, SIGNATURE, stamp).hint
    nobody = loopback.trusted_root() | {"timestampAuthorities": []}
    refused(TrustedRoot(nobody, "loopback"), SIGNATURE, stamp)


@pytest.mark.parametrize(
    "fields",
    [
        {"validFor": {}},
        {"validFor": {"start": "yesterday"}},
        {"validFor": {"start": "2025-01-01T00:00:00"}},
        {"validFor": {"start": "2025-01-01T00:00:00Z", "end": "2030-01-01T00:00:00"}},
        {"certChain": {"certificates": [{"rawBytes": "AAEC"}, {"rawBytes": "AAEC"}]}},
        {"certChain": {}},
        {"validFor": None},
    ],
)
def test_unusable_trusted_root_is_said_to_be_one(
    loopback: Loopback, stamp: bytes, fields: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        TimestampVerifier(changed_root(loopback, **fields))(SIGNATURE, [stamp])


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_changed_byte_of_a_timestamp_changes_the_time(root: TrustedRoot, stamp: bytes) -> None:
    """CMS leaves its versions and names of algorithms unsigned; all else is refused."""
    verifier = TimestampVerifier(root)
    moment = verifier(SIGNATURE, [stamp])
    harmless = 0
    for place in range(len(stamp)):
        changed = bytearray(stamp)
        changed[place] ^= 1
        with suppress(NotTrustedError):
            assert verifier(SIGNATURE, [bytes(changed)]) == moment
            harmless += 1
    assert harmless < 16
    for end in range(len(stamp)):
        refused(root, SIGNATURE, stamp[:end])
    refused(root, SIGNATURE, stamp + b"\x00")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_timestamps(root: TrustedRoot, data: bytes) -> None:
    refused(root, SIGNATURE, data)


@pytest.mark.parametrize(
    "fault",
    ["timestamp-of-other-bytes", "timestamp-outside-authority", "timestamp-of-another-request",
     "timestamp-outside-certificate"],
)  # fmt: skip
def test_lying_authority_signs_nothing_and_the_next_signature_works(
    authority: TimestampAuthority, loopback: Loopback, p256: PrivateKey, fault: str
) -> None:
    signer = KeySigner(p256, authority.stamp)
    with loopback.inject(fault), pytest.raises(NotTrustedError) as caught:
        signer.sign(STATEMENT)
    assert caught.value.step == 3
    assert "nothing was published" in caught.value.hint
    assert signer.sign(STATEMENT)


def test_authority_whose_clock_is_wrong_is_named(
    authority: TimestampAuthority, loopback: Loopback
) -> None:
    with (
        loopback.inject("timestamp-outside-certificate"),
        pytest.raises(NotTrustedError, match=r"has the time .*, this machine"),
    ):
        authority.stamp(SIGNATURE)


@pytest.mark.parametrize("how", BREAKDOWNS)
def test_authority_that_breaks_down_is_one_storage_error_in_time(
    loopback: Loopback, root: TrustedRoot, how: str
) -> None:
    authority = TimestampAuthority(loopback.tsa.url, root, limit=0.3 if how in SLOW else 30)
    started = time.monotonic()
    with loopback.inject(f"tsa:{how}"), pytest.raises(StorageError) as caught:
        authority.stamp(SIGNATURE)
    assert time.monotonic() - started < 5
    assert "the timestamp authority" in caught.value.message
    assert caught.value.hint
    assert authority.stamp(SIGNATURE)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"x" * (RESPONSE_LIMIT + 1)),
        Reply(b""),
        Reply(b"", 302, headers={"Location": "/tsa"}),
        Reply(b"\x30\x05\x30\x03\x02\x01\x02"),  # rejected, without a token
        Reply(b"", 404),
    ],
    ids=["endless", "empty", "elsewhere", "rejected", "missing"],
)
def test_answer_that_is_no_timestamp_is_a_storage_error(
    loopback: Loopback, root: TrustedRoot, reply: Reply
) -> None:
    loopback.server.routes["/other"] = ("tsa", lambda _: reply)
    authority = TimestampAuthority(f"{loopback.server.url}/other", root, limit=30)
    with pytest.raises(StorageError):
        authority.stamp(SIGNATURE)


def test_authority_that_is_not_there_is_a_storage_error(root: TrustedRoot) -> None:
    with pytest.raises(StorageError, match="cannot be reached"):
        TimestampAuthority("http://127.0.0.1:1/", root, limit=30).stamp(SIGNATURE)


@pytest.mark.parametrize(
    "url", ["", "tsa", "file:///etc/passwd", "https://", "http://[x", "ftp://a"]
)
def test_address_of_an_authority_is_a_web_address(url: str) -> None:
    with pytest.raises(UsageError, match="not the URL"):
        TimestampAuthority(url)


def test_every_field_around_the_timestamp_is_read_strictly(
    authority: TimestampAuthority, root: TrustedRoot, p256: PrivateKey
) -> None:
    document = json.loads(KeySigner(p256, authority.stamp).sign(STATEMENT))
    data = document["verificationMaterial"]["timestampVerificationData"]
    text = data["rfc3161Timestamps"][0]["signedTimestamp"]
    edits: list[Callable[[], Any]] = [
        lambda: [{"signedTimestamp": text + "\n"}],
        lambda: [{"signedTimestamp": base64.urlsafe_b64encode(b"\xff\xff\xff").decode()}],
        lambda: [{"signedTimestamp": text, "more": 1}],
        lambda: [{"signedTimestamp": text}] * 17,
        lambda: "x",
        lambda: [{"signedTimestamp": 1}],
    ]
    for edit in edits:
        data["rfc3161Timestamps"] = edit()
        with pytest.raises(ProvregError) as caught:
            verify_bundle(parse_bundle(canonical(document)), anchors(root, p256))
        assert isinstance(caught.value, NotTrustedError)
        assert caught.value.step == 1
