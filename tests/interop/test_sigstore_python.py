"""sigstore-python's own command accepts our keyless bundles (docs/guides/interop.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sigstore_instance.instance import PERSON

if TYPE_CHECKING:
    from tests.interop.conftest import Files


def verify(files: Files, identity: str = PERSON) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sigstore", "--trust-config", files.config, "verify", "identity",
         "--offline", "--bundle", files.bundle, "--cert-identity", identity,
         "--cert-oidc-issuer", files.issuer, files.head],
        env=dict(os.environ), capture_output=True, check=False, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("log", [1, 2])
def test_our_bundle_over_the_head_is_accepted(
    keyless: Callable[[int], Any], files_of: Callable[..., Files], log: int
) -> None:
    files = files_of(keyless(log), log)
    accepted = verify(files)
    assert accepted.returncode == 0, accepted.stderr
    assert "OK: " in accepted.stdout + accepted.stderr
    if log == 2:
        assert verify(files, "mallory@example.org").returncode != 0
        files.head.write_bytes(files.head.read_bytes() + b" ")
        assert verify(files).returncode != 0
