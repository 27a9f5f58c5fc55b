"""One version, signed by a key, by an identity in each kind of log, and by two of three.

Everything happens in processes that can reach loopback and nothing else.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sigstore_instance import Instance as Loopback

ROOT = Path(__file__).resolve().parents[2]
# Python reads it when it starts. What the client does with the error, the file tells all the same.
GUARD = """
import os, socket

def guarded(call, place):
    def guard(*arguments, **more):
        address = arguments[place]
        host = address[0] if isinstance(address, tuple) else address
        with open(os.environ["CONTACTED"], "a") as file:
            file.write(f"{host}\\n")
        if host not in ("127.0.0.1", None):
            raise OSError(f"nothing but loopback may be contacted, and not {host}")
        return call(*arguments, **more)
    return guard

socket.socket.connect = guarded(socket.socket.connect, 1)
socket.socket.connect_ex = guarded(socket.socket.connect_ex, 1)
socket.socket.sendto = guarded(socket.socket.sendto, -1)
socket.getaddrinfo = guarded(socket.getaddrinfo, 0)
"""
Run = Callable[..., str]


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def contacted(tmp_path: Path) -> Path:
    """Every host that a process wanted to reach, a line each."""
    path = tmp_path / "contacted"
    path.touch()
    return path


@pytest.fixture
def run(tmp_path: Path, contacted: Path, loopback: Loopback) -> Run:
    """`provreg LINE` behind the guard, in a folder with the loopback instance's files."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard/sitecustomize.py").write_text(GUARD)
    work = tmp_path / "work"
    work.mkdir(mode=0o700)
    for log in (1, 2):
        (work / f"rekor{log}.json").write_text(json.dumps(loopback.trust_config(log)))
    (work / "root.json").write_text(json.dumps(loopback.trusted_root()))

    def typed(line: str, *, code: int = 0, by: str | None = None) -> str:
        who = {} if by is None else {"PROVREG_IDENTITY_TOKEN": loopback.oidc.token(by)}
        ran = subprocess.run(
            [sys.executable, *shlex.split(line)],
            cwd=work,
            env={
                "HOME": str(work),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{tmp_path / 'guard'}:{ROOT}",
                "CONTACTED": str(contacted),
                **who,
            },
            capture_output=True,
            check=False,
            text=True,
            timeout=100,
        )
        assert ran.returncode == code, f"{line}\n{ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    return typed


def policy(threshold: int, key: str, issuer: str) -> str:
    return f"""format = "provreg.policy/v1"
[[principal]]
name = "ann"
keys = ['''{key}''']
[[principal]]
name = "ben"
identities = [{{ identity = "ben@example.org", issuer = "{issuer}" }}]
[[principal]]
name = "cem"
identities = [{{ identity = "cem@example.org", issuer = "{issuer}" }}]
[[publish]]
datasets = ["*"]
principals = ["ann", "ben", "cem"]
threshold = {threshold}
"""


def test_a_key_and_an_identity_sign_one_version(
    run: Run, contacted: Path, loopback: Loopback
) -> None:
    work, issuer = contacted.with_name("work"), loopback.oidc.issuer
    (work / "data/cat").mkdir(parents=True)
    (work / "data/cat/1.txt").write_text("1")
    run("-m provreg init")
    run("-m provreg key generate --out ann.key --no-passphrase")
    (work / "policy.toml").write_text(policy(2, (work / "ann.key.pub").read_text(), issuer))
    run("-m provreg ingest data --name pets --source web --sign key:ann.key")
    countersign = "-m provreg sign pets@1 --key ann.key.pub --yes --sign keyless --trust-config"
    run(f"{countersign} rekor1.json", by="ben@example.org")
    verify = "-m provreg verify pets@1 --data data --trusted-root root.json --policy policy.toml"
    assert "pets@1 is verified" in run(verify)
    assert set(contacted.read_text().split()) == {"127.0.0.1"}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_one_version_is_signed_in_every_way(run: Run, contacted: Path, loopback: Loopback) -> None:
    work, issuer = contacted.with_name("work"), loopback.oidc.issuer
    for name in ("cat/1.txt", "dog/2.txt"):
        (work / "data" / name).parent.mkdir(parents=True)
        (work / "data" / name).write_text(name)
    run("-m provreg init")
    run("-m provreg key generate --out ann.key --no-passphrase")
    for threshold in (1, 2, 3):
        text = policy(threshold, (work / "ann.key.pub").read_text(), issuer)
        (work / f"{threshold}-of-3.toml").write_text(text)
    verify = "-m provreg verify pets@1 --data data --trusted-root root.json -v"
    two, three = f"{verify} --policy 2-of-3.toml", f"{verify} --policy 3-of-3.toml"

    # With a key.
    run("-m provreg ingest data --name pets --source web --sign key:ann.key")
    assert "pets@1 is verified" in run(f"{verify} --key ann.key.pub")
    assert "signed by 1 of 2 needed" in run(two, code=4)
    by_ben = f"{verify} --identity ben@example.org --issuer {issuer}"
    run(by_ben, code=4)

    # Keyless, over Rekor 1: the log says when.
    countersign = "-m provreg sign pets@1 --policy 1-of-3.toml --yes --sign keyless --trust-config"
    run(f"{countersign} rekor1.json", by="ben@example.org")
    assert "by log, while" in run(by_ben)

    # 2 of 3.
    assert "pets@1 is verified" in run(two)
    run(three, code=4)

    # Keyless, over Rekor 2: a timestamp authority says when.
    run(f"{countersign} rekor2.json", by="cem@example.org")
    assert "Z by tsa" in run(f"{verify} --identity cem@example.org --issuer {issuer}")
    assert "pets@1 is verified" in run(three)
    [head] = (work / ".provreg/datasets/pets/signatures").iterdir()
    assert len(list(head.iterdir())) == 3
    # Somebody whom nobody trusts signs as well, and is not counted.
    run(f"{countersign} rekor1.json", by="mallory@example.org")
    assert "pets@1 is verified" in run(three)
    run(f"{verify} --identity mallory@example.org --issuer https://accounts.google.com", code=4)

    assert set(contacted.read_text().split()) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 80))",
        "socket.getaddrinfo('example.org', 443)",
        "socket.socket().connect(('192.0.2.1', 80))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    ],
)
def test_guard_lets_nothing_out(run: Run, contacted: Path, attempt: str) -> None:
    assert "nothing but loopback" in run(f'-c "import socket; {attempt}"', code=1)
    assert contacted.read_text().split() != ["127.0.0.1"]
