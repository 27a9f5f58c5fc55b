"""A web server on this machine whose files, and misbehaviour, a test says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class FileServer:
    """What it serves by path, and what it was asked for so far."""

    port: int
    files: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"


def raw(*pieces: bytes) -> Answer:
    """Just these bytes, and the end of the connection."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        for piece in pieces:
            request.wfile.write(piece)

    return answer


def redirect(location: str, status: int = 302) -> Answer:
    return raw(f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n\r\n".encode())


def status(code: int, *headers: str) -> Answer:
    lines = "".join(f"{header}\r\n" for header in headers)
    return raw(f"HTTP/1.1 {code} So\r\nContent-Length: 0\r\n{lines}\r\n".encode())


def in_turn(*answers: Answer) -> Answer:
    """Each answer once, the last one for ever."""
    left = list(answers)

    def answer(request: BaseHTTPRequestHandler) -> None:
        _give(request, left.pop(0) if len(left) > 1 else left[0])

    return answer


def drip(first: bytes, piece: bytes, *, every: threading.Event, seconds: float) -> Answer:
    """`first`, then `piece` for ever, `seconds` apart, until `every` is set."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(first)
        while not every.wait(seconds):
            request.wfile.write(piece)

    return answer


def endless(first: bytes, piece: bytes) -> Answer:
    """`first`, then `piece` as fast as it is taken."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(first)
        while True:
            request.wfile.write(piece)

    return answer


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[FileServer]:
    """A server on a free port of 127.0.0.1, with TLS where a context is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path[1:])
            made.hosts.append(self.headers["Host"])
            self.close_connection = True
            _give(self, made.files.get(self.path[1:], status(404)))

        def log_message(self, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            """Clients that leave early are what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        made = FileServer(server.server_port)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def _give(request: BaseHTTPRequestHandler, answer: Answer) -> None:
    if isinstance(answer, bytes):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
        answer = raw(head.encode(), answer)
    answer(request)
