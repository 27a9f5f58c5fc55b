"""Downloading one file from servers that do what they want."""

from __future__ import annotations

import hashlib
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from file_server import FileServer, drip, endless, in_turn, raw, redirect, serving, status

from provreg.errors import StorageError
from provreg.readers.web import address
from provreg.readers.web.address import FetchError
from provreg.readers.web.bounds import Bounds
from provreg.readers.web.download import Downloader

OK = b"HTTP/1.1 200 OK\r\n"
# Everything at once, and nothing twice: tests do not wait.
HASTY = Bounds(most=1000, connect=5, silence=5, whole=5, tries=1, pause=0, longest=0, private=True)


@pytest.fixture
def web() -> Iterator[FileServer]:
    with serving() as server:
        yield server


def got(url: str, bounds: Bounds = HASTY) -> bytes:
    file = io.BytesIO()
    found = Downloader(bounds).download(url, file)
    data = file.getvalue()
    assert found.size == len(data)
    assert found.content == blake3(data).digest()
    assert found.sha256 == hashlib.sha256(data).digest()
    return data


def refusal(url: str, bounds: Bounds = HASTY) -> FetchError:
    with pytest.raises(FetchError) as caught:
        Downloader(bounds).download(url, io.BytesIO())
    return caught.value


def public(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Lets these addresses pass for public ones."""
    real = address.is_global
    monkeypatch.setattr(address, "is_global", lambda one: one in addresses or real(one))


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """A name service that gives each answer once, the last one for ever; the names it was asked."""
    real, asked, left = socket.getaddrinfo, [], list(answers)

    def lookup(host: Any, *arguments: Any, **options: Any) -> Any:
        if str(host).endswith(".example"):
            asked.append(str(host))
            host = left.pop(0) if len(left) > 1 else left[0]
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


@pytest.mark.parametrize(
    "answer",
    [
        b"a picture",
        raw(OK, b"\r\na pic", b"ture"),
        raw(OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\na pic\r\n4\r\nture\r\n0\r\n\r\n"),
        raw(OK, b"Content-Length: 9\r\nContent-Encoding: identity\r\n\r\na picture and more"),
    ],
)
def test_the_bytes_that_come_are_those_that_are_hashed(web: FileServer, answer: Any) -> None:
    web.files["a"] = answer
    assert got(web.url("a")) == b"a picture"


def test_a_file_that_is_downloaded_again_loses_what_it_had(web: FileServer) -> None:
    web.files["a"] = b"short"
    file = io.BytesIO(b"something that was longer")
    Downloader(HASTY).download(web.url("a"), file)
    assert file.getvalue() == b"short"


def test_environment_proxies_are_not_used(web: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    web.files["a"] = b"direct"
    assert got(web.url("a")) == b"direct"


def test_redirects_are_followed_five_times_and_no_more(web: FileServer) -> None:
    web.files |= {f"{n}": redirect(f"/{n + 1}") for n in range(6)}
    web.files["5"] = b"there"
    assert got(web.url("0")) == b"there"
    web.files["5"] = redirect("/6")
    assert refusal(web.url("0")).failure == "refused"
    assert web.asked[6:] == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:1/", "http://localhost:1/", "http://169.254.169.254/latest/meta-data",
     "http://[::1]:1/", "//10.0.0.1/", "file:///etc/passwd", "ftp://127.0.0.1/"],
)  # fmt: skip
def test_ssrf_by_redirect_to_a_private_address_is_refused(
    web: FileServer, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    public(monkeypatch, "127.0.0.1")
    resolve = socket.getaddrinfo

    def only_other_loopback(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.3" if host == "localhost" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", only_other_loopback)
    web.files["a"] = redirect(target)
    assert refusal(web.url("a"), replace(HASTY, private=False)).failure == "refused"
    assert web.asked == ["a"]


def test_ssrf_nothing_is_sent_to_a_private_address(web: FileServer) -> None:
    error = refusal(web.url("a"), replace(HASTY, private=False))
    assert "private" in error.message
    assert web.asked == []


def test_dns_rebinding_does_not_change_where_the_connection_goes(
    web: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up once; its second answer, of the network inside, is never heard."""
    public(monkeypatch, "127.0.0.1")
    asked = resolving(monkeypatch, "127.0.0.1", "127.0.0.2")
    web.files["a"] = b"from where it was checked"
    url = web.url("a", host="rebinding.example")
    assert got(url, replace(HASTY, private=False)) == b"from where it was checked"
    assert asked == ["rebinding.example"]
    assert web.hosts == [f"rebinding.example:{web.port}"]


def test_dns_rebinding_between_tries_and_redirects_is_refused(
    web: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    public(monkeypatch, "127.0.0.1")
    resolving(monkeypatch, "127.0.0.1", "127.0.0.2")
    url = web.url("a", host="rebinding.example")
    for answer in (redirect(url), status(503)):
        web.files["a"] = answer
        resolving(monkeypatch, "127.0.0.1", "127.0.0.2")
        bounds = replace(HASTY, private=False, tries=3)
        assert "127.0.0.2" in refusal(url, bounds).message


@pytest.mark.parametrize(
    "answer",
    [
        b"x" * 1001,
        raw(OK, b"Content-Length: 99999999999999999999\r\n\r\n"),
        endless(OK + b"\r\n", b"x" * 100),
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"64\r\n" + b"x" * 100 + b"\r\n"),
    ],
)
def test_a_body_without_end_is_refused_at_the_limit(web: FileServer, answer: Any) -> None:
    web.files["a"] = answer
    file = io.BytesIO()
    with pytest.raises(FetchError, match="more than 1,000 bytes") as caught:
        Downloader(HASTY).download(web.url("a"), file)
    assert caught.value.failure == "refused"
    assert len(file.getvalue()) <= 1000


@pytest.mark.parametrize(
    "answer",
    [
        raw(OK, b"Content-Length: 10\r\n\r\nshort"),
        raw(OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\na pic\r\n"),
        raw(OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\na p"),
        raw(OK, b"Transfer-Encoding: chunked\r\n\r\nzz\r\na p"),
        raw(b"HTTP/1.1 200"),
        raw(b"garbage\r\n\r\n"),
        raw(b""),
        raw(OK, b"X: y\r\n" * 500, b"\r\nbody"),
        raw(OK, b"X: " + b"y" * 100_000, b"\r\n\r\nbody"),
        raw(b"HTTP/1.1 100 Go on\r\n\r\n" * 50),
    ],
)
def test_a_truncated_or_broken_answer_is_no_file(web: FileServer, answer: Any) -> None:
    web.files["a"] = answer
    error = refusal(web.url("a"))
    assert (error.failure, error.again) == ("unreachable", 0)


def test_a_truncated_answer_leaves_nothing_in_the_next_one(web: FileServer) -> None:
    web.files["a"] = in_turn(raw(OK, b"Content-Length: 10\r\n\r\nshort"), b"whole")
    assert got(web.url("a"), replace(HASTY, tries=2)) == b"whole"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x\x1b[31m"])
def test_decompression_bomb_in_the_encoding_is_not_unpacked(web: FileServer, encoding: str) -> None:
    said = f"Content-Encoding: {encoding}\r\nContent-Length: 3\r\n\r\nabc".encode()
    web.files["a"] = raw(OK, said)
    error = refusal(web.url("a"))
    assert error.failure == "refused"
    assert "\x1b" not in error.message


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (OK + b"Content-Length: 900\r\n\r\n", b"x"),
        (OK + b"\r\n", b"x"),
        (OK, b"X: y\r\n"),
        (b"", b"H"),
    ],
)
def test_slowloris_is_cut_off_when_its_time_is_over(
    web: FileServer, first: bytes, piece: bytes
) -> None:
    """A byte now and then: each single read is in time, and the whole never ends."""
    over = threading.Event()
    web.files["a"] = drip(first, piece, every=over, seconds=0.02)
    error = refusal(web.url("a"), replace(HASTY, whole=0.3))
    over.set()
    assert error.failure == "unreachable"
    assert "longer than 0.3 seconds" in error.message


def test_slowloris_over_tls_is_cut_off_too(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    over = threading.Event()
    with serving(tls) as web:
        web.files["a"] = drip(OK + b"\r\n", b"x", every=over, seconds=0.02)
        url = f"https://good.example:{web.port}/a"
        error = refusal(url, replace(HASTY, whole=0.3))
        over.set()
    assert "longer than 0.3 seconds" in error.message


def test_a_server_that_says_nothing_is_given_up(web: FileServer) -> None:
    over = threading.Event()
    web.files["a"] = drip(b"", b"", every=over, seconds=60)
    error = refusal(web.url("a"), replace(HASTY, silence=0.1))
    over.set()
    assert error.message == "the server does not answer in time"


def test_stopping_cuts_what_is_downloaded_and_what_waits(web: FileServer) -> None:
    over = threading.Event()
    web.files["a"] = drip(OK + b"\r\n", b"x", every=over, seconds=0.02)
    web.files["b"] = status(503)
    bounds = replace(HASTY, whole=60, silence=60, tries=5, pause=60, longest=60)
    downloader = Downloader(bounds)
    errors: list[FetchError] = []

    def work(path: str) -> None:
        try:
            downloader.download(web.url(path), io.BytesIO())
        except FetchError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(path,)) for path in "ab"]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while len(web.asked) < 2 and time.monotonic() < until:
        pass
    downloader.stop()
    for thread in threads:
        thread.join(30)
    over.set()
    assert [error.message for error in errors] == ["it was stopped"] * 2


@pytest.mark.parametrize(
    ("code", "failure", "asked"),
    [(404, "gone", 1), (410, "gone", 1), (403, "unreachable", 1), (206, "unreachable", 1),
     (304, "unreachable", 1), (429, "unreachable", 3), (503, "unreachable", 3)],
)  # fmt: skip
def test_what_may_pass_is_asked_again_and_nothing_else(
    web: FileServer, code: int, failure: str, asked: int
) -> None:
    web.files["a"] = status(code)
    error = refusal(web.url("a"), replace(HASTY, tries=3))
    assert (error.failure, len(web.asked)) == (failure, asked)
    assert str(code) in error.message


def test_a_server_that_asks_for_patience_gets_it(web: FileServer) -> None:
    web.files["a"] = in_turn(status(429, "Retry-After: 0"), status(500), b"at last")
    assert got(web.url("a"), replace(HASTY, tries=3)) == b"at last"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", (7, 7)), ("soon", (0, 0)), ("-5", (0, 0)), ("9" * 400, (1e9, float("inf"))),
     ("Mon, 99 Foo 2026 99:99:99 GMT", (0, 0))],
)  # fmt: skip
def test_the_wait_a_server_asks_for_is_heard(
    web: FileServer, said: str, seconds: tuple[float, float]
) -> None:
    web.files["a"] = status(429, f"Retry-After: {said}")
    again = refusal(web.url("a")).again
    assert again is not None
    assert seconds[0] <= again <= seconds[1]


def test_the_wait_until_a_date_is_heard(web: FileServer) -> None:
    said = format_datetime(datetime.now(UTC) + timedelta(hours=1))
    web.files["a"] = status(503, f"Retry-After: {said}")
    again = refusal(web.url("a")).again
    assert again is not None
    assert 3000 <= again <= 3601


def test_no_server_can_make_us_wait_for_long(web: FileServer) -> None:
    web.files["a"] = in_turn(status(429, "Retry-After: 99999999"), b"at last")
    assert got(web.url("a"), replace(HASTY, tries=2, pause=1e9, longest=0.01)) == b"at last"


def test_a_host_that_refuses_the_connection_is_unreachable() -> None:
    with serving() as server:
        url = server.url("a")
    error = refusal(url)
    assert (error.failure, error.message) == (
        "unreachable",
        "the connection failed: Connection refused",
    )


def at(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """A name service that knows all these addresses of every host."""

    def lookup(host: Any, port: int, *_: Any, **__: Any) -> list[Any]:
        known = addresses if str(host).endswith(".example") else (host,)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in known]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def test_a_host_is_tried_at_its_next_address_but_not_at_any_number(
    web: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files["a"] = b"x"
    url = web.url("a", host="many.example")
    at(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
    assert got(url) == b"x"
    at(monkeypatch, *(f"127.0.0.{n}" for n in range(2, 100)), "127.0.0.1")
    assert "Connection refused" in refusal(url).message
    at(monkeypatch)
    assert refusal(url).failure == "gone"


def test_nothing_is_begun_when_the_time_of_a_file_is_over(web: FileServer) -> None:
    web.files["a"] = b"x"
    assert refusal(web.url("a"), replace(HASTY, whole=0)).message == (
        "the server does not answer in time"
    )
    assert web.asked == []


@pytest.mark.parametrize("operation", ["write", "flush", "truncate"])
def test_a_full_disk_is_no_failure_of_the_server(web: FileServer, operation: str) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    web.files["a"] = b"x"
    file = type("Full", (io.BytesIO,), {operation: full})()
    with pytest.raises(StorageError, match="No space left on device") as caught:
        Downloader(HASTY).download(web.url("a"), file)
    assert not isinstance(caught.value, FetchError)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side, with a certificate for good.example that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "good.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def test_certificate_must_be_that_of_the_name_and_not_of_the_address(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    with serving(tls) as web:
        web.files["a"] = b"over TLS"
        assert got(f"https://good.example:{web.port}/a") == b"over TLS"
        error = refusal(f"https://evil.example:{web.port}/a", replace(HASTY, tries=3))
        assert (error.failure, error.again) == ("unreachable", None)
        assert "certificate" in error.message
        assert web.asked == ["a"]


def test_certificate_of_nobody_is_refused(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    resolving(monkeypatch, "127.0.0.1")
    with serving(tls) as web:
        error = refusal(f"https://good.example:{web.port}/a")
        assert "certificate" in error.message
        assert web.asked == []
