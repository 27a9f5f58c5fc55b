"""One HTTP server on 127.0.0.1 for all services, and the ways a server breaks down."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sigstore_instance.faults import Faults

DRIP_SECONDS = 0.1


@dataclass(frozen=True)
class Request:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Reply:
        return cls(json.dumps(value).encode(), status)


Route = tuple[str, Callable[[Request], Reply]]


class Server:
    """Routes by path; each is (service, what answers). `calls` are the services that were asked."""

    def __init__(self, faults: Faults) -> None:
        self.routes: dict[str, Route] = {}
        self.calls: list[str] = []
        self._faults = faults
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        # A short poll: closing waits for one.
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            self._faults.released.set()
            self._http.shutdown()
            thread.join()
            self._http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        request = Request(url.path, query, dict(handler.headers), handler.rfile.read(length))
        if url.path not in self.routes:
            _send(handler, Reply(b"", 404))
            return
        service, respond = self.routes[url.path]
        self.calls.append(service)
        how = self._faults.breakdown(service)
        if how is None:
            _send(handler, respond(request))
        elif how == "500":
            _send(handler, Reply.json({"code": 13, "message": "out of order"}, 500))
        elif how == "garbage":
            _send(handler, Reply(b"<html>It works!</html>", 201))
        elif how == "truncated":
            reply = respond(request)
            half = reply.body[: len(reply.body) // 2]
            _send(handler, Reply(half, reply.status, reply.kind), length=len(reply.body))
        elif how == "drips":
            self._drip(handler, respond(request))
        elif how == "hangs":
            self._faults.released.wait()

    def _drip(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        """A byte now and then: no single read ever takes long."""
        _head(handler, reply, len(reply.body))
        for byte in reply.body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            if self._faults.released.wait(DRIP_SECONDS):
                return


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def handle_error(self, *_: Any) -> None:
        """Clients that gave up are part of the tests."""


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            server.answer(self)

        do_POST = do_GET  # noqa: N815 (the name http.server looks for)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _send(handler: BaseHTTPRequestHandler, reply: Reply, length: int | None = None) -> None:
    _head(handler, reply, len(reply.body) if length is None else length)
    handler.wfile.write(reply.body)


def _head(handler: BaseHTTPRequestHandler, reply: Reply, length: int) -> None:
    handler.send_response(reply.status)
    handler.send_header("Content-Type", reply.kind)
    handler.send_header("Content-Length", str(length))
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
