"""Every bit of a registry: changed, it is noticed, or it provably means nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provreg.core.encoding.canonical import canonical
from provreg.errors import NotTrustedError, ProvregError

if TYPE_CHECKING:
    from tests.conftest import Bench


def registry_of_two_versions(bench: Bench) -> dict[str, bytes]:
    if not bench.record(1).exists():
        bench.ingest(bench.pets(), labeler="ann")
        bench.ingest(bench.pets(cat__9__jpg=b"new"), labeler="ben")
    return bench.files()


def refused(bench: Bench) -> bool:
    """Whether one of the versions does not verify any more."""
    try:
        for number in (1, 2):
            bench.open().verify(f"pets@{number}")
    except NotTrustedError:
        return True
    return False


def means_nothing(bench: Bench, key: str, data: bytes, changed: bytes) -> bool:
    """Why a changed file may pass verification, by what it is.

    - `provreg.json` is a hint that readers never ask.
    - A version record's nonce only tells its writer that the record is theirs. The rest of the
      record is canonical JSON, which has one spelling.
    - Block lists and name tables are computed again from the entries, and the results compared with
      the digests that the head signs: verification reads neither. Who does read them reads them by
      their digests, and `provreg check` reports them.

    There is no other: objects and bundles are stored under the digest of their bytes. Bundles are
    JSON that could be spelled in other ways, but another spelling stands under another name.
    """
    if key == "provreg.json":
        return True
    if "/versions/" in key:
        try:
            before, after = json.loads(data), json.loads(changed)
        except ValueError:
            return False
        return before["head"] == after.get("head") and canonical(after) == changed
    recomputed = data.startswith((b"provreg blocks v1\n", b'[{"name"'))
    return recomputed and any(key.rpartition("/")[2] in one.what for one in bench.open().check())


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_changed_bit_of_a_registry_is_noticed_or_irrelevant(
    bench: Bench, place: float, bit: int
) -> None:
    """The bit at the same place of every file, one file at a time."""
    files = registry_of_two_versions(bench)
    kinds = {key.partition("/")[0] for key in files}
    assert kinds == {"provreg.json", "objects", "datasets"}
    for key, data in files.items():
        changed = bytearray(data)
        changed[int(place * len(data))] ^= 1 << bit
        path = bench.registry / key
        bench.overwrite(path, bytes(changed))
        assert refused(bench) or means_nothing(bench, key, data, bytes(changed)), key
        bench.overwrite(path, data)
    assert not refused(bench)


def test_every_missing_file_of_a_registry_is_noticed_or_irrelevant(bench: Bench) -> None:
    for key, data in registry_of_two_versions(bench).items():
        path = bench.registry / key
        path.unlink()
        try:
            noticed = refused(bench)
        except ProvregError:
            noticed = True
        recomputed = data.startswith((b"provreg blocks v1\n", b'[{"name"'))
        assert noticed or recomputed or key == "provreg.json", key
        if recomputed:
            assert list(bench.open().check())
        bench.overwrite(path, data)
    assert not refused(bench)


def test_no_name_in_a_registry_needs_more_than_any_file_system_has(
    bench: Bench, home: Path
) -> None:
    """Nor in the private folders: exFAT, SMB and Windows have no colon and fold case."""
    registry_of_two_versions(bench)
    consumer = bench.open()
    consumer.verify("pets@2")
    consumer.sync()
    names = {part for key in bench.files() for part in Path(key).parts}
    names |= {path.name for path in home.rglob("*") if path.parent != home}
    assert len(names) > 20
    assert {name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)} == set()
