"""The consumer's memory and pins: what cannot be read is never taken for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import MappingProxyType

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provreg.core.digest import sha256_digest
from provreg.core.revocation import RevocationLink
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError, UsageError
from provreg.store.pins import read_lock, write_lock
from provreg.store.state import Pin, Seen, check_seen, load, remember

HERE = "file:///srv/registry"
UID = "0123456789abcdef" * 2
OTHER_UID = "f" * 32
HEADS = [sha256_digest(b"%d" % n) for n in range(9)]
SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVREG_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def the_file(folder: Path) -> Path:
    [path] = folder.rglob("*.json")
    return path


def test_nothing_is_seen_at_first() -> None:
    assert load(HERE, "cats") is None


def test_what_is_remembered_is_seen(folder: Path) -> None:
    revocation = RevocationLink(4, HEADS[0])
    made = remember(HERE, "cats", UID, {2: HEADS[2], 10: HEADS[1]}, revocation=revocation)
    seen = load(HERE, "cats")
    assert seen == made
    assert seen is not None
    assert seen.newest == 10
    assert list(seen.versions) == [2, 10]
    assert seen.revocation == revocation
    document = json.loads(the_file(folder).read_bytes())
    jsonschema.validate(document, json.loads((SCHEMAS / "state.v1.json").read_text()))
    assert the_file(folder).stat().st_mode & 0o777 == 0o600


def test_what_is_seen_cannot_be_changed_by_accident() -> None:
    seen = remember(HERE, "cats", UID, {1: HEADS[1]})
    with pytest.raises(TypeError):
        seen.versions[1] = HEADS[2]  # type: ignore[index]


def test_registries_and_datasets_are_apart() -> None:
    remember(HERE, "cats", UID, {1: HEADS[1]})
    assert load(HERE, "dogs") is None
    assert load(HERE + "2", "cats") is None
    remember(HERE, "dogs", OTHER_UID, {1: HEADS[2]})
    remember(HERE + "2", "cats", OTHER_UID, {1: HEADS[2]})
    assert load(HERE, "cats") == Seen(UID, {1: HEADS[1]}, None)


def test_nothing_is_forgotten() -> None:
    remember(HERE, "cats", UID, {5: HEADS[5]}, revocation=RevocationLink(2, HEADS[2]))
    remember(HERE, "cats", UID, {3: HEADS[3]}, revocation=RevocationLink(1, HEADS[1]))
    remember(HERE, "cats", UID, {})
    assert load(HERE, "cats") == Seen(UID, {3: HEADS[3], 5: HEADS[5]}, RevocationLink(2, HEADS[2]))
    remember(HERE, "cats", UID, {}, revocation=RevocationLink(3, HEADS[3]))
    seen = load(HERE, "cats")
    assert seen is not None
    assert seen.revocation == RevocationLink(3, HEADS[3])


@given(
    st.lists(
        st.tuples(st.dictionaries(st.integers(1, 8), st.just(None)), st.none() | st.integers(1, 8)),
        min_size=1,
        max_size=6,
    ).filter(lambda rounds: any(versions for versions, _ in rounds[:1]))
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_memory_is_the_union_whatever_the_order(
    folder: Path, rounds: list[tuple[dict[int, None], int | None]]
) -> None:
    for path in folder.rglob("*.json"):
        path.unlink()
    for versions, revocation in rounds:
        seen = remember(
            HERE,
            "cats",
            UID,
            {number: HEADS[number] for number in versions},
            revocation=None
            if revocation is None
            else RevocationLink(revocation, HEADS[revocation]),
        )
    numbers = {number for versions, _ in rounds for number in versions}
    assert dict(seen.versions) == {number: HEADS[number] for number in numbers}
    newest = max((number for _, number in rounds if number), default=None)
    assert (seen.revocation and seen.revocation.number) == newest


def test_what_is_known_already_is_not_written_again(folder: Path) -> None:
    remember(HERE, "cats", UID, {1: HEADS[1]})
    before = the_file(folder).stat()
    remember(HERE, "cats", UID, {1: HEADS[1]})
    assert os.path.samestat(the_file(folder).stat(), before)


SEEN = Seen(UID, MappingProxyType({1: HEADS[1], 3: HEADS[3]}), None)


def test_check_passes_what_was_seen_and_what_is_new() -> None:
    check_seen(SEEN, UID, 3, HEADS[3])
    check_seen(SEEN, UID, 2, HEADS[2])
    check_seen(SEEN, UID, 4, HEADS[4])


@pytest.mark.parametrize("number", [1, 3, 4])
def test_another_dataset_of_the_same_name_is_refused(number: int) -> None:
    with pytest.raises(NotTrustedError, match="another dataset of the same name") as caught:
        check_seen(SEEN, OTHER_UID, number, HEADS[number])
    assert caught.value.step == 9


def test_another_head_at_a_seen_number_is_refused() -> None:
    with pytest.raises(NotTrustedError, match="version 3 is not the one seen") as caught:
        check_seen(SEEN, UID, 3, HEADS[4])
    assert caught.value.step == 9


@pytest.mark.parametrize(
    ("uid", "versions", "revocation"),
    [
        (OTHER_UID, {7: HEADS[7]}, None),
        (OTHER_UID, {}, None),
        (UID, {7: HEADS[7], 1: HEADS[2]}, None),
        (UID, {7: HEADS[7]}, RevocationLink(2, HEADS[3])),
    ],
)
def test_contradictions_are_refused_and_not_remembered(
    uid: str, versions: dict[int, str], revocation: RevocationLink | None
) -> None:
    before = remember(HERE, "cats", UID, {1: HEADS[1]}, revocation=RevocationLink(2, HEADS[2]))
    with pytest.raises(NotTrustedError) as caught:
        remember(HERE, "cats", uid, versions, revocation=revocation)
    assert caught.value.step == 9
    assert load(HERE, "cats") == before


@pytest.mark.parametrize(
    ("uid", "versions"),
    [
        ("x", {1: HEADS[1]}),
        (UID, {}),
        (UID, {0: HEADS[1]}),
        (UID, {10**8: HEADS[1]}),
        (UID, {1: "x"}),
    ],
)
def test_what_could_not_be_read_again_is_not_written(
    folder: Path, uid: str, versions: dict[int, str]
) -> None:
    with pytest.raises(FormatError):
        remember(HERE, "cats", uid, versions)
    assert load(HERE, "cats") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"provreg.state/v1"', '"provreg.state/v2"'),
        (HERE, HERE + "2"),
        ('"cats"', '"dogs"'),
        (UID, UID.upper()),
        ('"1":', '"01":'),
        ('"1":', '"0":'),
        ('"1":', f'"{"1" * 5000}":'),
        ('"1":', '"²":'),
        (f'"{HEADS[1]}"', "1"),
        ("sha256:", "blake3:"),
        (f'{{"1":"{HEADS[1]}"}}', "{}"),
        (f'{{"1":"{HEADS[1]}"}}', "[]"),
        ('"revocation":null', '"revocation":{}'),
        ('"revocation":null', '"revocation":null,"x":1'),
        ("{", " {"),
    ],
)
def test_a_corrupt_state_fails_closed_and_says_how_to_go_on(
    folder: Path, old: str, new: str
) -> None:
    remember(HERE, "cats", UID, {1: HEADS[1]})
    path = the_file(folder)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    more = {2: HEADS[2]}
    for ask in (partial(load, HERE, "cats"), partial(remember, HERE, "cats", UID, more)):
        with pytest.raises(DamagedError, match="cats") as caught:
            ask()
        assert "removing it forgets" in caught.value.hint
    assert path.read_text() == text.replace(old, new)


def test_any_damaged_byte_of_the_state_is_refused_or_read_strictly(folder: Path) -> None:
    remember(HERE, "cats", UID, {1: HEADS[1]}, revocation=RevocationLink(1, HEADS[2]))
    path = the_file(folder)
    sound = path.read_bytes()
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x80]) + sound[place + 1 :])
        with pytest.raises(DamagedError):
            load(HERE, "cats")


def test_bad_dataset_names_reach_no_file() -> None:
    with pytest.raises(UsageError):
        load(HERE, "../cats")


def test_two_processes_remembering_at_once_lose_nothing() -> None:
    code = (
        "import sys\n"
        "from provreg.store.state import remember\n"
        "from provreg.core.digest import sha256_digest\n"
        "for n in range(int(sys.argv[1]), 40, 4):\n"
        f"    remember({HERE!r}, 'cats', {UID!r}, {{n + 1: sha256_digest(b'%d' % n)}})\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    seen = load(HERE, "cats")
    assert seen is not None
    assert dict(seen.versions) == {n + 1: sha256_digest(b"%d" % n) for n in range(40)}


PINS = {"cats": Pin(UID, 3, HEADS[3]), "a.dog": Pin(OTHER_UID, 12, HEADS[1])}


def test_pins_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "provreg.lock"
    write_lock(path, PINS)
    assert read_lock(path) == PINS
    document = json.loads(path.read_bytes())
    jsonschema.validate(document, json.loads((SCHEMAS / "lock.v1.json").read_text()))
    write_lock(path, {})
    assert read_lock(path) == {}


def test_a_lock_file_reads_well_in_a_review(tmp_path: Path) -> None:
    path = tmp_path / "provreg.lock"
    write_lock(path, PINS)
    before = path.read_text().splitlines()
    assert [line.strip() for line in before if ": {" in line][1:] == ['"a.dog": {', '"cats": {']
    write_lock(path, PINS | {"cats": Pin(UID, 4, HEADS[4])})
    after = path.read_text().splitlines()
    assert path.read_text().endswith("}\n")
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 2
    assert path.stat().st_mode & 0o111 == 0


def test_a_missing_lock_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_lock(tmp_path / "provreg.lock")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("provreg.lock/v1", "provreg.lock/v2"),
        ('"cats"', '"../cats"'),
        ('"cats"', '"a.dog"'),
        (UID, UID[1:]),
        ('"version": 3', '"version": "3"'),
        ('"version": 3', '"version": 0'),
        ('"version": 3', '"version": 100000000'),
        ('"version": 3', '"version": 3, "more": 1'),
        ("sha256:", "blake3:"),
        ("{", "<<<<<<< HEAD\n{"),
        ("{", "["),
    ],
)
def test_a_malformed_lock_file_is_refused_and_not_taken_for_none(
    tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "provreg.lock"
    write_lock(path, PINS)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(FormatError, match=r"provreg\.lock") as caught:
        read_lock(path)
    assert caught.value.hint


@pytest.mark.parametrize("datasets", ["[]", "null", '{"cats":[]}'])
def test_a_lock_file_of_another_shape_is_refused(tmp_path: Path, datasets: str) -> None:
    path = tmp_path / "provreg.lock"
    path.write_text(f'{{"format":"provreg.lock/v1","datasets":{datasets}}}')
    with pytest.raises(FormatError):
        read_lock(path)


def test_a_planted_link_or_pipe_is_no_lock_file(tmp_path: Path) -> None:
    write_lock(tmp_path / "real", PINS)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(DamagedError):
            read_lock(tmp_path / name)


def test_pins_that_could_not_be_read_again_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        write_lock(tmp_path / "provreg.lock", {"cats": Pin("x", 1, HEADS[1])})
    assert not list(tmp_path.iterdir())
