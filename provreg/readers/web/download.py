"""One file from the web, from servers that may be anybody's: bounded in size, time and tries.

No proxy, no credentials, no cookies, no encodings of the body. Every connection, also that of a
redirect, goes to an address that `web_address` has checked.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import IO, TYPE_CHECKING

from blake3 import blake3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from provreg.core.encoding.text import printable, quoted
from provreg.errors import StorageError
from provreg.executors.threads import start_timer
from provreg.readers.web.address import FetchError, WebAddress
from provreg.readers.web.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse

MOST_REDIRECTS = 5
_ADDRESSES = 4  # how many of a host's addresses are tried
_CHUNK = 1 << 16
_SAID = 200  # the most characters of what a server says that go into a message
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_LATER = frozenset({408, 425, 429})
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close",
            "User-Agent": "provreg"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What was written: its number of bytes and the digests of these, taken as they came."""

    size: int
    content: bytes
    sha256: bytes


class Downloader:
    """Downloads files; several threads may use one. `stop` ends them all."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        # Making one reads all of the system's certificates.
        self._tls = ssl.create_default_context()

    def stop(self) -> None:
        """Cuts every connection; who waits for one gets FetchError."""
        self._stopped.set()
        with self._lock:
            for connected in self._open:
                _cut(connected)

    def download(self, url: str, into: IO[bytes]) -> Downloaded:
        """Writes the bytes at `url` into `into`, whose own are lost.

        Raises FetchError with what failed the last time; StorageError where they cannot be written.
        """
        bounds = self._bounds
        address = WebAddress.parse(url)
        for tried in range(bounds.tries):
            try:
                return self._try(address, into)
            except FetchError as error:
                if error.again is None or tried + 1 == bounds.tries:
                    raise
                wait = min(max(error.again, bounds.pause * 2**tried), bounds.longest)
            if self._stopped.wait(wait):
                break
        raise FetchError("it was stopped", "unreachable")

    def _try(self, address: WebAddress, into: IO[bytes]) -> Downloaded:
        until = time.monotonic() + self._bounds.whole
        for _ in range(MOST_REDIRECTS + 1):
            with self._connected(address, until) as connection:
                headers = {"Host": address.authority} | _HEADERS
                connection.request("GET", address.target, headers=headers, preload_content=False)
                with closing(connection.getresponse()) as answer:
                    location = answer.headers.get("Location")
                    if answer.status not in _REDIRECTS or location is None:
                        _check(answer)
                        return _write(answer, into, self._bounds.most)
            address = address.redirected(location)
        raise FetchError(f"it is redirected more than {MOST_REDIRECTS} times", "refused")

    @contextmanager
    def _connected(self, address: WebAddress, until: float) -> Iterator[HTTPConnection]:
        """A connection that is cut at `until` or when all is stopped; its failures are ours."""
        connection: HTTPConnection | None = None
        late = threading.Event()
        try:
            connection = self._connect(address, until)
            connected: socket.socket = connection.sock
            with self._cut_at(until, connected, late):
                yield connection
                # A body without a length ends with the connection: when it is cut, too.
                if late.is_set() or self._stopped.is_set():
                    raise TimeoutError
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            if self._stopped.is_set():
                raise FetchError("it was stopped", "unreachable") from None
            if late.is_set():
                complaint = f"it took longer than {self._bounds.whole:g} seconds"
                raise FetchError(complaint, "unreachable") from None
            raise _as_failure(error) from None
        finally:
            if connection is not None:
                connection.close()

    def _connect(self, address: WebAddress, until: float) -> HTTPConnection:
        """Connected to the first of the host's addresses that answers, not looked up again."""
        addresses = address.resolve(private=self._bounds.private)[:_ADDRESSES]
        for place, ip in enumerate(addresses, 1):
            seconds = min(self._bounds.connect, until - time.monotonic())
            if seconds <= 0:
                raise TimeoutError
            connection = self._connection(address, ip, seconds)
            try:
                connection.connect()
            except (HTTPError, OSError):
                connection.close()
                if place == len(addresses):
                    raise
            else:
                connection.timeout = self._bounds.silence
                return connection
        raise FetchError("its host has no address", "gone")

    def _connection(self, address: WebAddress, ip: str, timeout: float) -> HTTPConnection:
        if address.scheme == "http":
            return HTTPConnection(ip, address.port, timeout=timeout)
        return HTTPSConnection(
            ip,
            address.port,
            timeout=timeout,
            ssl_context=self._tls,
            server_hostname=address.host,
        )

    @contextmanager
    def _cut_at(
        self, until: float, connected: socket.socket, late: threading.Event
    ) -> Iterator[None]:
        """Each single read has a timeout of its own, which a byte now and then never meets."""

        def cut() -> None:
            late.set()
            _cut(connected)

        clock = start_timer(until - time.monotonic(), cut)
        with self._lock:
            self._open.add(connected)
        try:
            if self._stopped.is_set():
                raise TimeoutError
            yield
        finally:
            clock.cancel()
            with self._lock:
                self._open.discard(connected)


def _check(answer: BaseHTTPResponse) -> None:
    """FetchError for an answer that is not the file itself."""
    status = answer.status
    if status in _GONE:
        raise FetchError(f"the server answers {status}", "gone")
    if status in _LATER or status >= 500:
        again = _asked_wait(answer.headers.get("Retry-After"))
        raise FetchError(f"the server answers {status}", "unreachable", again)
    if status != 200:
        raise FetchError(f"the server answers {status}", "unreachable")
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise FetchError(f"the server sends it packed, as {quoted(encoding)}", "refused")


def _asked_wait(header: str | None) -> float:
    """The seconds of a Retry-After header, 0 where it says nothing that can be understood."""
    if header is None:
        return 0.0
    try:
        if header.isdecimal():
            return float(header)
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _write(answer: BaseHTTPResponse, into: IO[bytes], most: int) -> Downloaded:
    content, sha256, size = blake3(), hashlib.sha256(), 0
    too_large = FetchError(f"it has more than {most:,} bytes", "refused")
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > most:
        raise too_large
    with _storing():
        into.seek(0)
        into.truncate()
    while chunk := answer.read1(_CHUNK, decode_content=False):
        size += len(chunk)
        if size > most:
            raise too_large
        content.update(chunk)
        sha256.update(chunk)
        with _storing():
            into.write(chunk)
    with _storing():
        into.flush()
    if size == 0 and not announced and not answer.headers.get("Transfer-Encoding"):
        # It may have ended within the headers, of which the last ones are missing.
        raise ConnectionError("it ended before anything came")
    return Downloaded(size, content.digest(), sha256.digest())


@contextmanager
def _storing() -> Iterator[None]:
    """A full disk is no failure of the server."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"what is downloaded cannot be written: {error.strerror}") from None


def _as_failure(error: Exception) -> FetchError:
    reason = _cause(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError(f"its certificate: {printable(reason.verify_message)}", "unreachable")
    if isinstance(reason, TimeoutError | HTTPTimeoutError):
        return FetchError("the server does not answer in time", "unreachable", 0)
    reason_text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return FetchError(f"the connection failed: {printable(reason_text)[:_SAID]}", "unreachable", 0)


def _cause(error: BaseException) -> BaseException:
    """What the system said first, where urllib3 wraps it."""
    while isinstance(error, HTTPError) and (inner := error.__cause__ or error.__context__):
        error = inner
    return error


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):
        # That of a TLS socket would let another thread read on without TLS.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
