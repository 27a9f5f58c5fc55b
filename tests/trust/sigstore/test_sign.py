"""Keyless signing, by the real client at an instance on loopback that lies, hangs or is down."""

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from sigstore_instance import BREAKDOWNS, LIES, SERVICES
from sigstore_instance import Instance as Loopback
from sigstore_instance.instance import PERSON
from sigstore_instance.oidc import CI_SECRET

from provreg.core.policy.counting import judge
from provreg.core.policy.policy import Signature
from provreg.core.statements.statement import version_statement
from provreg.errors import NotFoundError, NotTrustedError, StorageError, UsageError
from provreg.trust.bundle import BUNDLE_LIMIT, parse_bundle
from provreg.trust.sigstore.root import TrustedRoot
from provreg.trust.sigstore.sign import Instance, KeylessSigner
from provreg.trust.sigstore.token import PUBLIC_WARNING, TokenSource
from provreg.trust.sigstore.verify import CertificateVerifier

STATEMENT = version_statement(
    dataset="cifar10",
    version=3,
    head="sha256:" + "ab" * 32,
    uid="0123456789abcdef" * 2,
    root="blake3:" + "cd" * 32,
    samples=50000,
)
# (version of the log, with timestamps)
LOGS = [(1, False), (1, True), (2, True)]
SLOW = {"drips", "hangs"}
LIMIT = 1.0
CI_VARIABLES = (
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "CIRCLECI",
    "BUILDKITE",
    "GOOGLE_SERVICE_ACCOUNT_NAME",
)

Environment = dict[str, str]
Make = Callable[..., KeylessSigner]


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def make(
    loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., KeylessSigner]:
    """Makes a signer at the instance, with alice's token in the environment unless told."""
    for variable in CI_VARIABLES:
        monkeypatch.delenv(variable, raising=False)

    def made(
        log: int = 2,
        *,
        stamped: bool = True,
        environment: Environment | None = None,
        file: Path | None = None,
        warn: Callable[[str], None] | None = None,
        limit: float = 30,
    ) -> KeylessSigner:
        config = tmp_path / "trust-config.json"
        config.write_text(json.dumps(loopback.trust_config(log, timestamps=stamped)), "utf-8")
        if environment is None:
            environment = {"PROVREG_IDENTITY_TOKEN": loopback.oidc.token()}
        tokens = TokenSource(file, environment, warn)
        return KeylessSigner(Instance(config), tokens, limit=limit)

    return made


def verified(loopback: Loopback, data: bytes) -> Signature:
    bundle = parse_bundle(data)
    assert bundle.payload == STATEMENT
    return CertificateVerifier(TrustedRoot(loopback.trusted_root(), "loopback"))(bundle)


@pytest.mark.parametrize(("log", "stamped"), LOGS)
def test_what_is_signed_verifies(loopback: Loopback, make: Make, log: int, stamped: bool) -> None:
    before = time.time()
    data = make(log, stamped=stamped).sign(STATEMENT)
    assert len(data) < BUNDLE_LIMIT // 32
    assert len(parse_bundle(data).timestamps) == stamped
    signature = verified(loopback, data)
    assert (signature.identity, signature.issuer) == (PERSON, loopback.oidc.issuer)
    assert (signature.key, signature.proof) == (None, "log" if log == 1 else "tsa")
    assert signature.signed_at is not None
    assert before - 2 < signature.signed_at.timestamp() < time.time() + 1


def test_a_log_of_version_2_needs_timestamps(make: Make) -> None:
    with pytest.raises(StorageError, match="timestamp"):
        make(2, stamped=False).sign(STATEMENT)


def test_one_certificate_serves_several_signatures(loopback: Loopback, make: Make) -> None:
    signer = make()
    asked = loopback.server.calls.count("fulcio")
    for _ in range(3):
        verified(loopback, signer.sign(STATEMENT))
    assert loopback.server.calls.count("fulcio") == asked + 1


def test_a_certificate_that_soon_ends_is_replaced(
    loopback: Loopback, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = make()
    signer.sign(STATEMENT)
    asked = loopback.server.calls.count("fulcio")
    from provreg.trust.sigstore import sign

    monkeypatch.setattr(sign, "_MARGIN", sign._MARGIN * 10)
    signer.sign(STATEMENT)
    assert loopback.server.calls.count("fulcio") == asked + 1


def test_a_signers_own_policy_trusts_what_it_signs(loopback: Loopback, make: Make) -> None:
    signer = make()
    signature = verified(loopback, signer.sign(STATEMENT))
    now = datetime.now(UTC)
    assert judge(signer.policy(), "cifar10", 3, [signature], now=now, created=now).trusted
    loopback.oidc.person = "mallory@example.org"
    try:
        other = verified(loopback, make().sign(STATEMENT))
    finally:
        loopback.oidc.person = PERSON
    assert not judge(signer.policy(), "cifar10", 3, [other], now=now, created=now).trusted


@pytest.mark.parametrize("log", [1, 2])
@pytest.mark.parametrize("lie", LIES)
def test_lie_of_the_instance_is_refused_and_signing_again_works(
    loopback: Loopback, make: Make, lie: str, log: int
) -> None:
    signer = make(log)
    with loopback.inject(lie), pytest.raises(NotTrustedError) as caught:
        signer.sign(STATEMENT)
    assert caught.value.step in {1, 3}
    assert "nothing was published" in caught.value.hint
    assert "Traceback" not in caught.value.message
    verified(loopback, signer.sign(STATEMENT))


@pytest.mark.parametrize("how", BREAKDOWNS)
@pytest.mark.parametrize("service", SERVICES)
def test_breakdown_of_a_service_is_one_error_in_time_and_signing_again_works(
    loopback: Loopback, make: Make, service: str, how: str
) -> None:
    slow = how in SLOW
    signer = make(limit=LIMIT if slow else 30)
    started = time.monotonic()
    with loopback.inject(f"{service}:{how}"), pytest.raises(StorageError) as caught:
        signer.sign(STATEMENT)
    assert time.monotonic() - started < LIMIT + 3
    assert {"fulcio": "Fulcio", "rekor": "Rekor", "tsa": "timestamp"}[
        service
    ] in caught.value.message
    assert ("within 1 seconds" in caught.value.message) is slow
    assert "nothing was published" in caught.value.hint
    verified(loopback, signer.sign(STATEMENT))


@pytest.mark.parametrize("how", sorted(set(BREAKDOWNS) - SLOW))
def test_a_missing_timestamp_is_an_error_also_where_the_log_gives_the_time(
    loopback: Loopback, make: Make, how: str
) -> None:
    with loopback.inject(f"tsa:{how}"), pytest.raises(StorageError, match="timestamp"):
        make(1, stamped=True).sign(STATEMENT)


def test_nobody_listening_is_an_error(make: Make, tmp_path: Path, loopback: Loopback) -> None:
    with Loopback.running() as gone:
        config, token = gone.trust_config(2), gone.oidc.token()
    (tmp_path / "gone.json").write_text(json.dumps(config), "utf-8")
    tokens = TokenSource(None, {"PROVREG_IDENTITY_TOKEN": token}, None)
    with pytest.raises(StorageError, match=r"Fulcio.* cannot be reached"):
        KeylessSigner(Instance(tmp_path / "gone.json"), tokens).sign(STATEMENT)


@pytest.mark.parametrize(
    ("fault", "why"),
    [("expired-token", "expired"), ("token-for-another-audience", "[Aa]udience")],
)
def test_bad_token_is_refused_before_anything_is_asked(
    loopback: Loopback, make: Make, fault: str, why: str
) -> None:
    with loopback.inject(fault):
        signer = make()
    asked = len(loopback.server.calls)
    for use in (signer.require_identity, lambda: signer.sign(STATEMENT), signer.policy):
        with pytest.raises(UsageError, match=f"identity token is refused.*{why}"):
            use()
    assert len(loopback.server.calls) == asked


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "{}"])
def test_what_is_no_token_is_refused(make: Make, token: str) -> None:
    with pytest.raises(UsageError, match="identity token"):
        make(environment={"PROVREG_IDENTITY_TOKEN": token}).require_identity()


def test_token_of_an_issuer_that_fulcio_does_not_know_is_refused(
    loopback: Loopback, make: Make
) -> None:
    with Loopback.running() as other:
        token = other.oidc.token()
    with pytest.raises(UsageError, match=r"Fulcio.* refused the identity token \(HTTP 401\)"):
        make(environment={"PROVREG_IDENTITY_TOKEN": token}).sign(STATEMENT)


def test_without_an_identity_and_a_person_signing_says_what_to_do(make: Make) -> None:
    signer = make(environment={})
    with pytest.raises(UsageError, match="no identity") as caught:
        signer.require_identity()
    assert "PROVREG_IDENTITY_TOKEN" in caught.value.hint


def test_token_in_a_file_comes_first_and_is_read_at_every_need(
    loopback: Loopback, make: Make, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    signer = make(environment={"PROVREG_IDENTITY_TOKEN": "not this"}, file=file)
    with pytest.raises(NotFoundError, match="no identity token"):
        signer.require_identity()
    file.write_text(loopback.oidc.token() + "\n", "utf-8")
    assert verified(loopback, signer.sign(STATEMENT)).identity == PERSON


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (64 * 1024 + 1)])
def test_file_that_holds_no_token_is_refused(make: Make, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(UsageError, match="not an identity token"):
        make(file=tmp_path / "token").require_identity()


def test_cosigns_variable_is_read_after_our_own(loopback: Loopback, make: Make) -> None:
    good = loopback.oidc.token()
    make(environment={"SIGSTORE_ID_TOKEN": good}).require_identity()
    both = {"SIGSTORE_ID_TOKEN": "x", "PROVREG_IDENTITY_TOKEN": good}
    make(environment=both).require_identity()


@pytest.mark.parametrize("how", [None, *sorted(BREAKDOWNS)])
def test_ci_service_gives_the_identity_or_one_error(
    loopback: Loopback, make: Make, monkeypatch: pytest.MonkeyPatch, how: str | None
) -> None:
    """What a GitHub Actions runner sets, where a job may ask for identity tokens."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{loopback.oidc.issuer}/ci?v=1")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", CI_SECRET)
    signer = make(environment={}, limit=LIMIT if how in SLOW else 30)
    broken = nullcontext() if how is None else loopback.inject(f"oidc:{how}")
    with broken:
        if how is None:
            assert verified(loopback, signer.sign(STATEMENT)).identity == PERSON
            return
        with pytest.raises(StorageError, match="CI service"):
            signer.require_identity()
    verified(loopback, signer.sign(STATEMENT))


def test_ci_job_without_the_right_to_tokens_is_told(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", raising=False)
    with pytest.raises(UsageError, match="CI service returned no identity token") as caught:
        make(environment={}).require_identity()
    assert "id-token: write" in caught.value.hint


# sigstore-python does not close the socket it waits for the browser on.
@pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning")
def test_person_signs_in_by_browser_after_a_warning(
    loopback: Loopback, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []

    def browse(url: str) -> bool:
        assert warned == [PUBLIC_WARNING]
        with urlopen(url, timeout=10) as page:  # noqa: S310 (on loopback)
            return bool(page.status == 200)

    monkeypatch.setattr("webbrowser.open", browse)
    signer = make(environment={}, warn=warned.append)
    signer.require_identity()
    assert warned == []
    assert verified(loopback, signer.sign(STATEMENT)).identity == PERSON
    gc.collect()


def test_identity_provider_that_is_down_is_one_error(loopback: Loopback, make: Make) -> None:
    signer = make(environment={}, warn=lambda _: None)
    with loopback.inject("oidc:500"), pytest.raises(StorageError, match="identity provider"):
        signer.sign(STATEMENT)


@pytest.mark.parametrize("staging", [False, True], ids=["public-good", "staging"])
def test_public_instance_that_cannot_be_reached_is_one_error(
    loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, staging: bool
) -> None:
    """A proxy where nobody listens; and a home folder that cannot be made."""
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    environment = {"PROVREG_IDENTITY_TOKEN": loopback.oidc.token()}
    for home, why in ((tmp_path, "cannot be reached"), (Path("/dev/null/x"), "cannot be called")):
        monkeypatch.setenv("HOME", str(home))
        signer = KeylessSigner(
            Instance(staging=staging), TokenSource(None, environment, None), limit=20
        )
        with pytest.raises(StorageError, match=f"Sigstore instance {why}"):
            signer.require_identity()


def test_workflows_identity_is_its_uri(loopback: Loopback, make: Make) -> None:
    uri = "https://github.com/o/r/.github/workflows/x.yml@refs/heads/main"
    token = loopback.oidc.token(uri)
    data = make(environment={"PROVREG_IDENTITY_TOKEN": token}).sign(STATEMENT)
    assert verified(loopback, data).identity == uri


@pytest.mark.parametrize(
    "config",
    [
        {"mediaType": "application/json"},
        {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"},
        [],
    ],
)
def test_wrong_trust_config_is_refused_at_once(tmp_path: Path, config: Any) -> None:
    (tmp_path / "c.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(UsageError):
        KeylessSigner(Instance(tmp_path / "c.json"), TokenSource(None, {}, None))


@pytest.mark.parametrize("left_out", ["caUrls", "rekorTlogUrls", "mediaType"])
def test_trust_config_without_a_service_is_one_error(
    loopback: Loopback, tmp_path: Path, left_out: str
) -> None:
    config = loopback.trust_config(2)
    config["signingConfig"][left_out] = "" if left_out == "mediaType" else []
    (tmp_path / "c.json").write_text(json.dumps(config), "utf-8")
    tokens = TokenSource(None, {"PROVREG_IDENTITY_TOKEN": loopback.oidc.token()}, None)
    signer = KeylessSigner(Instance(tmp_path / "c.json"), tokens)
    with pytest.raises(UsageError, match="trust configuration cannot be used"):
        signer.require_identity()
