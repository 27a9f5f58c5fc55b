"""Lists of URLs on the command line: options, documents, and what hostile servers may say."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, drip, raw, serving, status
from jsonschema import Draft202012Validator
from pictures import jpeg

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., Any]

INGEST = ("ingest", "urls.csv", "--name", "web", "--fetch", "web", "--id", "key", "--source", "s",
          "--sign", "key:ann.key", "--fetch-from-private")  # fmt: skip
REFETCH = ("verify", "web", "--refetch", "--fetch-from-private")


@pytest.fixture
def web(pets: Path) -> Iterator[FileServer]:
    """Three pictures, and `urls.csv` of them where Ann stands."""
    with serving() as server:
        server.files |= {name: jpeg(number) for number, name in enumerate("abc")}
        write(server, *"abc")
        yield server


def write(web: FileServer, *names: str) -> None:
    rows = "".join(f"{name},{web.url(name)}\n" for name in names)
    Path("urls.csv").write_text("key,url\n" + rows, "utf-8")


def check(document: Any, schema: str) -> None:
    path = ROOT / f"schemas/output/{schema}.v1.json"
    Draft202012Validator(json.loads(path.read_text("utf-8"))).validate(document)


def test_every_document_has_the_shape_of_its_schema(provreg: Run, web: FileServer) -> None:
    write(web, *"abcd")
    web.files["d"] = status(403)
    assert "run it again: what was downloaded is kept" in provreg(*INGEST).err
    del web.files["d"]
    ran = provreg(*INGEST, "--json")
    assert ran.code == 6
    check(ran.json, "error")
    assert [one["kind"] for one in ran.json["error"]["findings"]] == ["gone"]
    assert ran.json["error"]["hint"].startswith("correct the list")
    ran = provreg(*INGEST, "--json", "--fetch-failures", "1")
    assert ran.code == 0
    check(ran.json, "ingest")
    assert ran.json["fetched"] | {"failed": 1} == {"downloaded": 0, "kept": 3, "failed": 1}
    check(provreg(*INGEST[:-3], "--fetch-from-private", "--dry-run", "--fetch-failures", "1",
                  "--json").json, "ingest")  # fmt: skip
    for answer, code in ((jpeg(0), 0), (jpeg(0, 30), 4), (status(404), 3), (status(403), 6)):
        web.files["a"] = answer
        ran = provreg(*REFETCH, "--json")
        assert ran.code == code
        check(ran.json, "verify")
        assert ran.json["refetched"]["checked"] == 3
        assert len(ran.json["findings"]) == (code != 0)


def test_the_worst_finding_decides_the_exit_code(provreg: Run, web: FileServer) -> None:
    assert provreg(*INGEST).code == 0
    web.files |= {"a": status(404), "b": status(403)}
    assert provreg(*REFETCH).code == 6
    web.files["c"] = jpeg(9)
    ran = provreg(*REFETCH)
    assert ran.code == 4
    assert ran.out.endswith("3 URLs: 0 as signed, 1 gone, 1 replaced, 1 unreachable\n")
    assert provreg(*REFETCH, "--refetch-sample", "1").out.count("1 URL: 0 as signed") == 1


def test_a_large_file_needs_a_larger_limit(provreg: Run, web: FileServer) -> None:
    web.files["c"] = bytes((1 << 20) + 1)
    assert "more than 1,048,576 bytes" in provreg(*INGEST, "--fetch-limit", "1").err
    assert provreg(*INGEST).code == 0
    assert provreg(*REFETCH).code == 0
    assert "more than 1,048,576 bytes" in provreg(*REFETCH, "--fetch-limit", "1").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--url-column", "u"), "--url-column requires --fetch DIR"),
        (("--fetch-failures", "1"), "--fetch-failures requires --fetch DIR"),
        (("--fetch-limit", "1"), "--fetch-limit requires --fetch DIR"),
        (("--fetch-from-private",), "--fetch-from-private requires --fetch DIR"),
        (("--fetch", "d", "--fetch-failures", "-1"), "'-1' is not a whole number of at least 0"),
        (("--fetch", "d", "--fetch-limit", "0"), "'0' is not a whole number of at least 1"),
        (("--fetch", "d", "--fetch-limit", "9" * 30), "is not a whole number"),
        (("--fetch", "d", "--labels", "l.csv"), "--labels is not for --fetch"),
        (("--fetch", "d", "--include", "*"), "--include means nothing in a list of URLs"),
        (("--fetch", "d", "--url-column", "u"), "there is no column 'u' of URLs alone"),
    ],
)
def test_wrong_options_of_a_list_are_said(
    provreg: Run, web: FileServer, words: tuple[str, ...], said: str
) -> None:
    ran = provreg("ingest", "urls.csv", "--name", "web", "--source", "s", "--dry-run", *words)
    assert ran.code == 2
    assert said in ran.err
    assert web.asked == []


@pytest.mark.parametrize("words", [("--refetch-sample", "1"), ("--fetch-limit", "1"),
                                   ("--fetch-from-private",)])  # fmt: skip
def test_options_of_refetching_alone_are_said(
    provreg: Run, pets: Path, words: tuple[str, ...]
) -> None:
    ran = provreg("verify", "pets@1", *words)
    assert ran.code == 2
    assert f"{words[0]} requires --refetch" in ran.err
    assert provreg("verify", "pets@1", "--refetch").code == 2


RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def test_what_servers_and_lists_say_does_not_act_on_the_terminal(
    provreg: Run, web: FileServer
) -> None:
    evil = "\x1b[2J\x9b31m"
    rows = [{"key": "a", "url": web.url("a")}, {"key": "b", "url": f"http://{evil}/\u202e\r\n"}]
    Path("urls.csv").unlink()
    Path("urls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    web.files["a"] = raw(f"HTTP/1.1 200 OK\r\nContent-Encoding: {evil}\r\n\r\nx".encode())
    for more in ((), ("-v",), ("--json",)):
        ran = provreg(INGEST[0], "urls.jsonl", *INGEST[2:], *more)
        assert ran.code == 6
        assert not RAW.search(ran.out + ran.err)
    for line in (b"HTTP/1.1 999 \x1b[2J\r\n\r\n", b"\x1b[2J\r\n\r\n"):
        web.files["a"] = raw(line)
        write(web, "a")
        assert not RAW.search(str(provreg(*INGEST, "--dry-run")))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts what it runs in the background with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_download_stops_soon_and_goes_on_later(web: FileServer, pets: Path) -> None:
    """Also where a server would keep it busy for minutes."""
    over, begun = threading.Event(), threading.Event()
    slow = drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x", every=over, seconds=0.01)

    def answer(request: Any) -> None:
        begun.set()
        slow(request)  # type: ignore[operator]

    web.files["c"] = answer
    with subprocess.Popen(
        [sys.executable, "-m", "provreg", *INGEST],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        assert begun.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    over.set()
    left = {path.name for path in Path("web").iterdir()}
    assert left <= {"a", "b"}


WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {"imagehash", "PIL", "scipy", "pywt"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from provreg import *
from provreg.cli import main
main()
"""


def test_only_lists_of_urls_need_the_extra(web: FileServer, pets: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT, *words],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert run("verify", "pets@1", "--data", "data").returncode == 0
    for words in (INGEST, ("verify", "pets@1", "--refetch")):
        ran = run(*words)
        assert ran.returncode == 2
        assert "this needs imagehash, which is not installed" in ran.stderr
        assert "pip install 'provreg[fetch]'" in ran.stderr


def test_verifying_without_refetching_loads_no_client_and_no_picture(pets: Path) -> None:
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({'urllib3', 'imagehash', 'PIL', 'scipy'}"
        " & set(sys.modules)), file=sys.stderr))\n"
        "from provreg.cli import main\n"
        "main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, "verify", "pets@1", "--data", "data"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stderr.endswith("[]\n")
