"""Web addresses: what is one, and where none may lead."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.readers.web.address import FetchError, WebAddress, host_of, is_global


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://Example.org/a?b=c#d", ("http", "example.org", 80, "/a?b=c")),
        ("https://example.org", ("https", "example.org", 443, "/")),
        ("https://example.org:8443/ä b".replace(" ", "%20"), ("https", "example.org", 8443,
                                                              "/%C3%A4%20b")),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80, "/")),
        ("http://[2001:DB8::1]:81/x", ("http", "2001:db8::1", 81, "/x")),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(url: str, parts: tuple[Any, ...]) -> None:
    address = WebAddress.parse(url)
    assert (address.scheme, address.host, address.port, address.target) == parts


def test_the_host_that_servers_are_told_is_that_of_the_url() -> None:
    told = {url: WebAddress.parse(url).authority for url in (
        "http://a.example/", "http://a.example:80/", "http://a.example:81/", "https://[2::1]:443/",
        "http://[2::1]:8/",
    )}  # fmt: skip
    assert list(told.values()) == ["a.example", "a.example", "a.example:81", "[2::1]", "[2::1]:8"]


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org/a", "ftp://example.org/a", "file:///etc/passwd", "gopher://a.example/",
        "http://", "http:///a", "http://a.example:0/", "http://a.example:65536/",
        "http://a.example:x/", "http://user@a.example/", "http://user:word@a.example/",
        "http://a.example/ b", "http://a.example/\r\nX: y", "http://a.example\\@b.example/",
        "http://a.example/\u202e", "http://[::1/", "http://" + "a" * 9000 + "/",
        "http://a..example\ud800/", "data:image/png;base64,AAAA", "//a.example/b",
    ],
)  # fmt: skip
def test_what_is_not_fetched_is_refused(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        WebAddress.parse(url)
    assert caught.value.failure == "refused"
    assert host_of(url) == ""


@pytest.mark.parametrize("location", ["http://a.example/", "ftp://a.example/", "//u:p@b.example/",
                                      "http://[::1", "file:///etc/passwd"])  # fmt: skip
def test_a_redirect_to_what_is_not_fetched_is_refused(location: str) -> None:
    address = WebAddress.parse("https://a.example/x/y")
    assert address.redirected("../z").url == "https://a.example/z"
    assert address.redirected("//b.example/").host == "b.example"
    with pytest.raises(FetchError) as caught:
        address.redirected(location)
    assert caught.value.failure == "refused"


PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",  # noqa: S104
    "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::7f00:1", "fe80::1",
    "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1",
    "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "100::1", "3fff::1", "5f00::1", "nonsense", "",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "2002:101:101::",
          "64:ff9b::101:101"]  # fmt: skip


def test_private_and_reserved_networks_are_not_the_public_one() -> None:
    assert [address for address in PRIVATE if is_global(address)] == []
    assert [address for address in PUBLIC if not is_global(address)] == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "[::1]",
     "[::ffff:127.0.0.1]", "169.254.169.254", "[fe80::1]", "0"],
)  # fmt: skip
def test_ssrf_hosts_on_this_machine_or_network_are_refused(host: str) -> None:
    """Also as they can be spelled for whoever looks at the text alone."""
    with pytest.raises(FetchError) as caught:
        WebAddress.parse(f"http://{host}/latest/meta-data").resolve(private=False)
    assert caught.value.failure in {"refused", "gone"}
    if caught.value.failure == "gone":  # a spelling this system does not know
        assert host in {"0x7f000001", "017700000001", "127.1", "0", "2130706433"}


def test_ssrf_name_with_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lookup(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, 80)) for address in ("1.1.1.1", "10.0.0.7")]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    address = WebAddress.parse("http://a.example/")
    with pytest.raises(FetchError, match=r"'10\.0\.0\.7'.* private"):
        address.resolve(private=False)
    assert address.resolve(private=True) == ("1.1.1.1", "10.0.0.7")


@pytest.mark.parametrize(
    ("error", "failure", "again"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "gone", None),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "unreachable", 0),
        (UnicodeError("label too long"), "refused", None),
    ],
)
def test_a_name_that_is_gone_is_told_from_a_name_service_that_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str, again: float | None
) -> None:
    def lookup(*_: Any, **__: Any) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(FetchError) as caught:
        WebAddress.parse("http://a.example/").resolve(private=False)
    assert (caught.value.failure, caught.value.again) == (failure, again)


URLS = st.one_of(
    st.text(),
    st.builds(
        lambda scheme, rest: scheme + rest,
        st.sampled_from(["http://", "https://", "http://[", "//", "http:", "HTTP://a@"]),
        st.text(st.characters(codec=None), max_size=60),
    ),
)


@given(URLS, URLS)
def test_no_url_raises_anything_but_our_error(url: str, location: str) -> None:
    try:
        address = WebAddress.parse(url)
    except FetchError:
        address = WebAddress.parse("http://a.example/b")
    assert address.host
    assert address.target.startswith("/")
    assert address.target.isascii()
    try:
        after = address.redirected(location)
    except FetchError:
        return
    assert after.scheme in {"http", "https"}


@given(st.text(alphabet="0123456789abcdefx.:%[]", max_size=45))
def test_no_text_breaks_the_check_of_addresses(address: str) -> None:
    assert is_global(address) in {True, False}
