"""Keyless bundles: what is refused, and every single field of one changed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from jsonschema import Draft202012Validator
from mutations import Where, mutations, value_at
from mutations import changed as changed_document
from sigstore_instance import Instance as Loopback
from sigstore_instance.instance import PERSON

from provreg.core.policy.counting import judge
from provreg.core.policy.policy import Identity, Policy, Principal, PublishRule, Signature
from provreg.core.statements.statement import version_statement
from provreg.errors import NotFoundError, NotTrustedError, UsageError
from provreg.trust.bundle import TrustAnchors, parse_bundle, verify_bundle
from provreg.trust.sigstore.certificate import WorkflowRun, identity_of, run_of
from provreg.trust.sigstore.root import (
    PUBLIC_GOOD,
    STAGING,
    TrustedRoot,
    log_ids,
    read_trust_config,
    read_trusted_root,
)
from provreg.trust.sigstore.sign import Instance, KeylessSigner
from provreg.trust.sigstore.token import TokenSource
from provreg.trust.sigstore.verify import CertificateVerifier

ROOT = Path(__file__).parents[3]
STATEMENT = version_statement(
    dataset="cifar10",
    version=3,
    head="sha256:" + "ab" * 32,
    uid="0123456789abcdef" * 2,
    root="blake3:" + "cd" * 32,
    samples=50000,
)
MATERIAL = "verificationMaterial"
STAMPS = (MATERIAL, "timestampVerificationData")
STAMP = (*STAMPS, "rfc3161Timestamps", 0, "signedTimestamp")
ENTRY = (MATERIAL, "tlogEntries", 0)
CHECKPOINT = (*ENTRY, "inclusionProof", "checkpoint", "envelope")

# The only fields whose change leaves a bundle accepted, and why that changes no verdict: the
# signature that comes out (who, when, by what proof) and the payload are the same.
HARMLESS = {
    CHECKPOINT: "the name before the checkpoint's signature: a log is known by its key, not by it",
    STAMP: "CMS leaves its versions and its name of the algorithm unsigned; the trusted root's"
    " certificate decides the algorithm",
    STAMPS: "a timestamp left out beside the log's own promise of the time, which is the proof; a"
    " policy that requires timestamps refuses the rest",
    (*STAMPS, "rfc3161Timestamps"): "as above",
    (*STAMPS, "rfc3161Timestamps", 0): "as above",
}


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture(scope="module")
def sign(loopback: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Signs STATEMENT as a subject, by default alice."""

    def signed(log: int, *, stamped: bool = True, subject: str = PERSON, **run: str) -> bytes:
        config = tmp_path_factory.mktemp("config") / "trust-config.json"
        config.write_text(json.dumps(loopback.trust_config(log, timestamps=stamped)), "utf-8")
        environment = {"PROVREG_IDENTITY_TOKEN": loopback.oidc.token(subject, **run)}
        return KeylessSigner(Instance(config), TokenSource(None, environment, None)).sign(STATEMENT)

    return signed


@pytest.fixture(scope="module")
def verifier(loopback: Loopback) -> CertificateVerifier:
    return CertificateVerifier(TrustedRoot(loopback.trusted_root(), "loopback"))


@pytest.fixture(
    scope="module",
    params=[(1, False), (1, True), (2, True)],
    ids=["rekor1", "rekor1-stamped", "rekor2"],
)
def data(request: pytest.FixtureRequest, sign: Callable[..., bytes]) -> bytes:
    log, stamped = request.param
    return sign(log, stamped=stamped)


def refused(verifier: CertificateVerifier, data: bytes) -> NotTrustedError:
    with pytest.raises(NotTrustedError) as caught:
        verifier(parse_bundle(data))
    return caught.value


def changed(document: Any, at: Where, value: Any) -> bytes:
    """The bundle with another value there; Ellipsis removes it."""
    return json.dumps(changed_document(document, at, value)).encode()


def test_every_single_field_changed_is_refused_or_changes_no_verdict(
    data: bytes, verifier: CertificateVerifier
) -> None:
    document, good = json.loads(data), verifier(parse_bundle(data))
    tried, harmless = 0, set()
    for at, mutated in mutations(document):
        tried += 1
        try:
            bundle = parse_bundle(json.dumps(mutated).encode())
            made = verifier(bundle)
        except NotTrustedError:
            continue
        assert at in HARMLESS, (at, value_at(mutated, at[:-1]))
        assert made.stamped <= good.stamped
        assert (replace(made, stamped=good.stamped), bundle.payload) == (good, STATEMENT), at
        harmless.add(at)
    assert tried > 1000
    assert CHECKPOINT in harmless


def test_keyless_bundle_fits_its_schema(data: bytes) -> None:
    schema = Draft202012Validator(
        json.loads((ROOT / "schemas" / "bundle.v1.json").read_text("utf-8"))
    )
    schema.validate(json.loads(data))
    assert not schema.is_valid(json.loads(changed(json.loads(data), ENTRY, {})))


def test_field_told_harmless_is_one(data: bytes, verifier: CertificateVerifier) -> None:
    """A Rekor 2 entry has no time of its own: there, leaving timestamps out is refused."""
    document = json.loads(data)
    promised = "inclusionPromise" in value_at(document, ENTRY)
    without = changed(document, STAMPS, ...)
    if promised:
        assert verifier(parse_bundle(without)).proof == "log"
    else:
        refused(verifier, without)


def test_bundle_of_another_instance_is_refused(data: bytes) -> None:
    with Loopback.running() as other:
        root = TrustedRoot(other.trusted_root(), "other")
    error = refused(CertificateVerifier(root), data)
    assert error.step == 3


@pytest.mark.parametrize(
    "part", ["certificateAuthorities", "ctlogs", "tlogs", "timestampAuthorities"]
)
def test_every_authority_of_the_trusted_root_is_needed(
    loopback: Loopback, sign: Callable[..., bytes], part: str
) -> None:
    with Loopback.running() as other:
        document = loopback.trusted_root() | {part: other.trusted_root()[part]}
    refused(CertificateVerifier(TrustedRoot(document, "mixed")), sign(2))


def test_tampered_root_lets_nothing_through(loopback: Loopback, sign: Callable[..., bytes]) -> None:
    data = sign(2)
    for part in ("certificateAuthorities", "ctlogs", "tlogs", "timestampAuthorities"):
        document = loopback.trusted_root() | {part: []}
        with pytest.raises((NotTrustedError, UsageError)):
            CertificateVerifier(TrustedRoot(document, "empty"))(parse_bundle(data))


def test_signature_of_another_is_not_ours_by_the_policy(
    verifier: CertificateVerifier, loopback: Loopback, sign: Callable[..., bytes]
) -> None:
    made = verifier(parse_bundle(sign(1, subject="mallory@example.org")))
    for identity, issuer in (
        (PERSON, loopback.oidc.issuer),
        ("mallory@example.org", loopback.oidc.issuer + "/"),
        ("mallory@example.org", "https://accounts.google.com"),
    ):
        principal = Principal("p", identities=(Identity(identity, issuer),))
        policy = Policy((principal,), (PublishRule(("*",), ("p",)),))
        now = datetime.now(UTC)
        verdict = judge(policy, "cifar10", 3, [made], now=now, created=now)
        assert not verdict.trusted


def test_bundle_is_not_verified_where_only_keys_are_trusted(data: bytes) -> None:
    with pytest.raises(NotTrustedError, match="certificate") as caught:
        verify_bundle(parse_bundle(data), TrustAnchors.of(Policy(), fail))
    assert caught.value.step == 3


def fail(_: object) -> Signature:
    raise AssertionError("nobody with an identity is trusted: nothing is to be verified")


def test_two_log_entries_are_refused(data: bytes, verifier: CertificateVerifier) -> None:
    document = json.loads(data)
    entries = value_at(document, (MATERIAL, "tlogEntries"))
    refused(verifier, changed(document, (MATERIAL, "tlogEntries"), entries * 2))


def test_certificate_and_log_entry_of_another_signature_are_refused(
    sign: Callable[..., bytes], verifier: CertificateVerifier
) -> None:
    """All parts are genuine, but not of one signature."""
    ours, theirs = json.loads(sign(2)), json.loads(sign(2, subject="mallory@example.org"))
    for part in ("certificate", "tlogEntries", "timestampVerificationData"):
        mixed = changed(ours, (MATERIAL, part), theirs[MATERIAL][part])
        refused(verifier, mixed)
    refused(verifier, changed(ours, ("dsseEnvelope",), theirs["dsseEnvelope"]))


def test_message_of_a_refusal_cannot_act_on_a_terminal(
    data: bytes, verifier: CertificateVerifier
) -> None:
    document = json.loads(data)
    hostile = changed(document, (*ENTRY, "kindVersion", "kind"), "\x1b[31mdsse\n")
    assert "\x1b" not in refused(verifier, hostile).message


NO_CLAIMS: Mapping[int, bytes] = {}


def certificate(
    *names: x509.GeneralName,
    v1: bytes | None = None,
    v2: bytes | None = None,
    claims: Mapping[int, bytes] = NO_CLAIMS,
) -> x509.Certificate:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(minutes=10))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for number, value in ((1, v1), (8, v2), *claims.items()):
        if value is not None:
            kind = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(kind, value), critical=False)
    return builder.sign(key, SHA256())


MAIL = x509.RFC822Name(PERSON)
ISSUER = b"https://issuer.example"
ISSUER_DER = b"\x0c" + bytes([len(ISSUER)]) + ISSUER


@pytest.mark.parametrize(("v1", "v2"), [(ISSUER, None), (None, ISSUER_DER), (ISSUER, ISSUER_DER)])
def test_identity_is_read_by_either_issuer_extension(v1: bytes | None, v2: bytes | None) -> None:
    assert identity_of(certificate(MAIL, v1=v1, v2=v2)) == (PERSON, ISSUER.decode())


@pytest.mark.parametrize(
    ("names", "v1", "v2"),
    [
        ((), ISSUER, None),
        ((MAIL, MAIL), ISSUER, None),
        ((MAIL, x509.UniformResourceIdentifier("https://x.example")), ISSUER, None),
        ((x509.DNSName("alice.example"),), ISSUER, None),
        ((MAIL,), None, None),
        ((MAIL,), b"https://other.example", ISSUER_DER),
        ((MAIL,), b"", None),
        ((MAIL,), b"\xff", None),
        ((MAIL,), None, ISSUER),
        ((MAIL,), None, ISSUER_DER + b"x"),
        ((MAIL,), None, b"\x13" + ISSUER_DER[1:]),
        ((MAIL,), b"x" * 2049, None),
    ],
)
def test_certificate_of_nobody_or_of_two_is_refused(
    names: tuple[x509.GeneralName, ...], v1: bytes | None, v2: bytes | None
) -> None:
    with pytest.raises(NotTrustedError) as caught:
        identity_of(certificate(*names, v1=v1, v2=v2))
    assert caught.value.step == 3


def utf8(text: str) -> bytes:
    return b"\x0c" + bytes([len(text)]) + text.encode()


def test_what_a_run_was_for_is_read_and_absent_is_absent() -> None:
    claims = {12: utf8("https://github.com/o/r"), 14: utf8("refs/heads/main"), 23: utf8("release")}
    whole = run_of(certificate(MAIL, v1=ISSUER, claims=claims))
    assert whole == WorkflowRun("https://github.com/o/r", "refs/heads/main", "release")
    assert run_of(certificate(MAIL, v1=ISSUER)) == WorkflowRun(None, None, None)
    # Fulcio writes an empty text where a run has no environment.
    empty = run_of(certificate(MAIL, v1=ISSUER, claims=claims | {23: utf8("")}))
    assert empty.environment is None


@pytest.mark.parametrize("number", [12, 14, 23])
@pytest.mark.parametrize(
    "value",
    [b"", b"x", b"refs/heads/main", b"\x13\x01x", b"\x0c\x01xx", b"\x0c\x01\xff", b"\x0c\x05x"],
)
def test_a_claim_that_is_no_text_is_refused_and_not_taken_for_absent(
    number: int, value: bytes
) -> None:
    with pytest.raises(NotTrustedError) as caught:
        run_of(certificate(MAIL, v1=ISSUER, claims={number: value}))
    assert caught.value.step == 3


def test_a_claim_beyond_the_bound_is_refused() -> None:
    long = b"\x0c\x82\x08\x01" + b"x" * 2049
    with pytest.raises(NotTrustedError, match="empty or too long"):
        run_of(certificate(MAIL, v1=ISSUER, claims={14: long}))


def test_signature_says_what_the_run_was_for(
    sign: Callable[..., bytes], verifier: CertificateVerifier
) -> None:
    workflow = "https://github.com/o/r/.github/workflows/x.yml@refs/heads/main"
    run = {"repository": "https://github.com/o/r", "ref": "refs/heads/main"}
    made = verifier(parse_bundle(sign(1, stamped=False, subject=workflow, **run)))
    assert (made.identity, made.repository, made.ref) == (workflow, *run.values())
    assert (made.environment, made.logged, made.stamped) == (None, True, False)
    identity = Identity(workflow, made.issuer or "", False, *run.values())
    assert identity.matches(made)
    assert not replace(identity, repository="https://github.com/o/fork").matches(made)
    assert not replace(identity, environment="release").matches(made)


def test_root_file_is_a_trusted_root_or_a_trust_config(loopback: Loopback, tmp_path: Path) -> None:
    root, config = tmp_path / "root.json", tmp_path / "config.json"
    root.write_text(json.dumps(loopback.trusted_root()), "utf-8")
    config.write_text(json.dumps(loopback.trust_config()), "utf-8")
    assert read_trusted_root(root).document == read_trusted_root(config).document
    assert json.loads(read_trust_config(config)) == loopback.trust_config()
    with pytest.raises(UsageError, match="not a trust configuration"):
        read_trust_config(root)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"{", b'{"mediaType":1}', b'{"a":1,"a":2}', b" " * (1024 * 1024 + 1)],
)
def test_file_that_is_no_root_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.json").write_bytes(content)
    with pytest.raises(UsageError):
        read_trusted_root(tmp_path / "root.json")


def test_missing_root_and_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_trusted_root(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a file"):
        read_trusted_root(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a file"):
        read_trusted_root(tmp_path)


@pytest.mark.parametrize("edit", ["tlogs", "certificateAuthorities"])
def test_root_of_the_right_type_and_wrong_content_is_a_usage_error(
    loopback: Loopback, data: bytes, edit: str
) -> None:
    document = loopback.trusted_root() | {edit: [{"baseUrl": 1}]}
    with pytest.raises(UsageError, match="cannot be used"):
        CertificateVerifier(TrustedRoot(document, "mine"))(parse_bundle(data))


@pytest.mark.parametrize("root", [PUBLIC_GOOD, STAGING], ids=["public-good", "staging"])
def test_embedded_roots_are_there_and_believe_nothing_of_ours(
    root: TrustedRoot, data: bytes
) -> None:
    assert len(log_ids(json.loads(root.text()))) >= 1
    error = refused(CertificateVerifier(root), data)
    assert "--trusted-root" in error.hint or "is not in the trusted root" in error.message


def test_verifying_needs_no_network_and_writes_nothing(
    loopback: Loopback, data: bytes, tmp_path: Path
) -> None:
    """In a process whose sockets fail and whose home cannot be written."""
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    (tmp_path / "bundle.json").write_bytes(data)
    (tmp_path / "root.json").write_text(json.dumps(loopback.trusted_root()), "utf-8")
    script = """
import socket, sys
from pathlib import Path
def fail(*_): raise AssertionError("the network was used")
socket.socket.connect = socket.getaddrinfo = fail
from provreg.trust.bundle import parse_bundle
from provreg.trust.sigstore.root import PUBLIC_GOOD, read_trusted_root
from provreg.trust.sigstore.verify import CertificateVerifier
from provreg.errors import NotTrustedError
bundle = parse_bundle(Path("bundle.json").read_bytes())
print(CertificateVerifier(read_trusted_root(Path("root.json")))(bundle).identity)
try:
    CertificateVerifier(PUBLIC_GOOD)(bundle)
except NotTrustedError:
    print("refused")
"""
    environment = {"HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    assert (result.returncode, result.stdout) == (0, f"{PERSON}\nrefused\n"), result.stderr
    assert result.stderr == ""
    assert list(home.iterdir()) == []


def test_use_of_keys_alone_loads_no_sigstore(tmp_path: Path) -> None:
    script = """
import sys
from provreg.core.policy.policy import Policy
from provreg.flows.session.trust import Trust, trust_signer
from provreg.flows.verify.steps import verify
from provreg.trust.bundle import parse_bundle, verify_bundle
from provreg.trust.keys import generate
from provreg.trust.signers import KeySigner
signer = KeySigner(generate())
verify_bundle(parse_bundle(signer.sign(b"{}")), trust_signer(signer).anchors)
assert "sigstore" not in sys.modules and "pydantic" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
