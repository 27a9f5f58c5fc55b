"""Web addresses from a list that anybody may have written, and where they are allowed to lead.

A name is looked up once and the connection goes to the very address that was checked: looking it
up again could give another answer. Nothing leads into the networks behind this machine.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Literal
from urllib.parse import urljoin

from urllib3.exceptions import HTTPError
from urllib3.util import Url, parse_url

from provreg.core.encoding.text import UNSAFE_CHARACTERS, quoted
from provreg.core.manifest.limits import LIMITS
from provreg.errors import StorageError

# `gone`: the server or the name service says that there is nothing. `unreachable`: no answer, or
# one that may be another next time. `refused`: an address or an answer that is not taken.
Failure = Literal["gone", "unreachable", "refused"]

_PORTS = {"http": 80, "https": 443}
_UNSAFE = re.compile(f"[{UNSAFE_CHARACTERS}\ud800-\udfff\\s\\\\]")
# The network of all that is global in IPv6, what is special in it, and IPv4 within IPv6.
_GLOBAL = IPv6Network("2000::/3")
_SPECIAL = (IPv6Network("2001::/23"), IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class FetchError(StorageError):
    """One URL that gave no bytes, and why.

    `again` is after how many seconds it is worth asking again, None for never.
    """

    failure: Failure
    again: float | None

    def __init__(self, message: str, failure: Failure, again: float | None = None) -> None:
        super().__init__(message, failure=failure, again=again)


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An http or https URL, taken apart: `host` in lower-case ASCII, `target` path and query."""

    url: str
    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str) -> WebAddress:
        """Raises FetchError (refused) for what is no such URL, and for one with credentials."""
        if len(url.encode("utf-8", "replace")) > LIMITS["uri"]:
            raise FetchError(f"the URL is longer than {LIMITS['uri']:,} bytes", "refused")
        if _UNSAFE.search(url):
            raise FetchError("the URL has blanks, backslashes or control characters", "refused")
        try:
            parts = parse_url(url)
        except (HTTPError, ValueError):
            raise FetchError("it is not a URL", "refused") from None
        return cls._of(url, parts)

    @classmethod
    def _of(cls, url: str, parts: Url) -> WebAddress:
        if parts.scheme not in _PORTS:
            raise FetchError("only http and https are fetched", "refused")
        if parts.auth is not None:
            raise FetchError("the URL has a user name or password in it", "refused")
        host = (parts.host or "").strip("[]").lower()
        if not host or not host.isascii():
            raise FetchError("the URL has no host", "refused")
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        if not 0 < port < 65536:
            raise FetchError("the URL has an invalid port", "refused")
        return cls(url, parts.scheme, host, port, parts.request_uri)

    @property
    def authority(self) -> str:
        """The host as servers are to be told it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def redirected(self, location: str) -> WebAddress:
        """Where `location`, of an answer from here, leads. Raises FetchError as `parse`."""
        try:
            target = urljoin(self.url, location)
        except ValueError:
            raise FetchError("it is redirected to what is not a URL", "refused") from None
        after = WebAddress.parse(target)
        if self.scheme == "https" and after.scheme != "https":
            raise FetchError("it is redirected from https to http", "refused")
        return after

    def resolve(self, *, private: bool) -> tuple[str, ...]:
        """The IP addresses of the host, all of them allowed: global ones, or any if `private`.

        Raises FetchError: refused for an address that is not global, gone for a name that does not
        exist, unreachable where the name service does not answer.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                raise FetchError("its host does not exist", "gone") from None
            raise FetchError("the name service does not answer", "unreachable", 0) from None
        except (OSError, ValueError):
            raise FetchError("its host is not a name", "refused") from None
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if not private and not is_global(address):
                raise FetchError(
                    f"its host is at {quoted(address)}, which is in a private or reserved network",
                    "refused",
                )
        return addresses


def host_of(url: str) -> str:
    """The host of a URL; empty for a URL that is not fetched."""
    try:
        return WebAddress.parse(url).host
    except FetchError:
        return ""


def is_global(address: str) -> bool:
    """Whether an IP address is one of the public network, also where it holds an IPv4 one."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None:
            return found in _GLOBAL and not any(found in network for network in _SPECIAL)
        found = inner
    return found.is_global and not found.is_multicast and not found.is_reserved
