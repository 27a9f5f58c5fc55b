"""Version records and signatures: create-only, and junk from anybody stops nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.digest import sha256_digest
from provreg.errors import DamagedError, FormatError, InputError, NotFoundError, UsageError
from provreg.store.backends.local import LocalBackend
from provreg.store.layout import (
    digest_of_key,
    digest_segment,
    number_of_key,
)
from provreg.store.registry.objects import Objects
from provreg.store.registry.statements import VERSIONS
from provreg.store.registry.versions import Versions

HEAD = sha256_digest(b"head")
OTHER = sha256_digest(b"other head")
SCHEMA = Path(__file__).parents[3] / "schemas" / "version-record.v1.json"


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def versions(tmp_path: Path, reports: list[str]) -> Versions:
    return Versions(LocalBackend(tmp_path), reports.append)


def plant(folder: Path, name: str, data: bytes = b"junk") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_claimed_number_names_its_head(versions: Versions, tmp_path: Path) -> None:
    assert versions.claim("cats", 1, HEAD)
    assert versions.record("cats", 1) == HEAD
    assert versions.numbers("cats") == [1]
    record = json.loads((tmp_path / "datasets/cats/versions/00000001.json").read_bytes())
    jsonschema.validate(record, json.loads(SCHEMA.read_text()))


def test_a_taken_number_is_not_claimed_again(versions: Versions) -> None:
    versions.claim("cats", 1, HEAD)
    assert not versions.claim("cats", 1, OTHER)
    assert not versions.claim("cats", 1, HEAD), "another's claim of the same head is not one's own"
    assert versions.record("cats", 1) == HEAD


def test_a_lost_reply_counts_as_own_success(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = LocalBackend.create

    def retried(store: LocalBackend, key: str, data: bytes) -> bool:
        create(store, key, data)
        return create(store, key, data)

    monkeypatch.setattr(LocalBackend, "create", retried)
    assert versions.claim("cats", 1, HEAD)
    assert not versions.claim("cats", 1, OTHER)


@pytest.mark.parametrize("squatted", [b"", b"{}", b"x" * 10_000, None])
def test_a_squatted_number_is_lost_and_no_version(
    versions: Versions, tmp_path: Path, squatted: bytes | None
) -> None:
    if squatted is None:
        (tmp_path / "datasets/cats/versions/00000001.json").mkdir(parents=True)
    else:
        plant(tmp_path, "datasets/cats/versions/00000001.json", squatted)
    assert not versions.claim("cats", 1, HEAD)
    assert versions.numbers("cats") == [1], "gaps are for the publisher to skip, so it is told"
    with pytest.raises(FormatError):
        versions.record("cats", 1)


def test_a_number_squatted_by_a_link_is_lost_and_no_version(
    versions: Versions, tmp_path: Path
) -> None:
    versions.claim("cats", 1, HEAD)
    record = tmp_path / "datasets/cats/versions/00000001.json"
    (record.parent / "00000002.json").symlink_to(record)
    assert not versions.claim("cats", 2, HEAD)
    with pytest.raises(FormatError):
        versions.record("cats", 2)


NONCE = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "record",
    [
        f'{{"head":"{HEAD}"}}',
        f'{{"head":"{HEAD}","nonce":"{NONCE}","other":1}}',
        f'{{"head":"{HEAD}","nonce":"{NONCE}"}}\n',
        f'{{"nonce":"{NONCE}","head":"{HEAD}"}}',
        f'{{"head":"{HEAD}","head":"{OTHER}","nonce":"{NONCE}"}}',
        f'{{"head":"{HEAD.replace("sha256", "blake3")}","nonce":"{NONCE}"}}',
        f'{{"head":"{HEAD}","nonce":"{NONCE[1:]}"}}',
        f'{{"head":null,"nonce":"{NONCE}"}}',
        "[" * 1000,
    ],
)
def test_malformed_records_are_refused(versions: Versions, tmp_path: Path, record: str) -> None:
    plant(tmp_path, "datasets/cats/versions/00000003.json", record.encode())
    with pytest.raises(FormatError, match=r"00000003\.json"):
        versions.record("cats", 3)


def test_any_changed_bit_of_a_record_is_refused_or_another_claim(
    versions: Versions, tmp_path: Path
) -> None:
    """Records are not signed: a changed head digest is step 5's to notice, never a crash."""
    versions.claim("cats", 1, HEAD)
    path = tmp_path / "datasets/cats/versions/00000001.json"
    sound = path.read_bytes()
    path.unlink()
    for bit in range(8 * len(sound)):
        changed = bytearray(sound)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            head = versions.record("cats", 1)
        except FormatError:
            continue
        assert head != HEAD or bytes(changed).split(b"nonce")[0] == sound.split(b"nonce")[0]


def test_a_free_number_is_not_found(versions: Versions) -> None:
    with pytest.raises(NotFoundError, match="'cats' has no version 7"):
        versions.record("cats", 7)


@pytest.mark.parametrize("number", [0, -1, 100_000_000])
def test_numbers_beyond_eight_digits_are_refused(versions: Versions, number: int) -> None:
    with pytest.raises(UsageError):
        versions.claim("cats", number, HEAD)


@pytest.mark.parametrize("head", ["", "x", HEAD.replace("sha256", "blake3")])
def test_a_claim_needs_the_sha256_of_a_head(versions: Versions, head: str) -> None:
    with pytest.raises(FormatError):
        versions.claim("cats", 1, head)


def test_junk_names_are_ignored_and_reported(
    versions: Versions, tmp_path: Path, reports: list[str]
) -> None:
    for number in (12, 3, 1):
        versions.claim("cats", number, HEAD)
    names = [
        "00000000.json",
        "1.json",
        "000000001.json",
        "00000002.json.bak",
        "\x1b[2J",
        "٠٠٠٠٠٠٠٤.json",
    ]
    for name in names:
        plant(tmp_path, f"datasets/cats/versions/{name}")
    assert versions.numbers("cats") == [1, 3, 12]
    assert len(reports) == len(names)
    assert not any("\x1b" in report for report in reports)


@given(st.text())
def test_record_numbers_are_exactly_eight_digits_and_json(name: str) -> None:
    number = number_of_key(f"datasets/cats/versions/{name}")
    assert number is None or name.endswith(f"{number:08d}.json")


def test_datasets_are_those_with_a_number(
    versions: Versions, tmp_path: Path, reports: list[str]
) -> None:
    versions.claim("dogs", 1, HEAD)
    versions.claim("cats", 2, HEAD)
    (tmp_path / "datasets" / "empty" / "versions").mkdir(parents=True)
    plant(tmp_path, "datasets/Bad Name/versions/00000001.json")
    plant(tmp_path, "datasets/file")
    assert versions.datasets() == ["cats", "dogs"]
    assert len(reports) == 2


def test_a_new_registry_has_no_datasets(versions: Versions) -> None:
    assert versions.datasets() == []
    assert versions.numbers("cats") == []


@pytest.mark.parametrize("name", ["..", "a/b", "Cats", ""])
def test_bad_dataset_names_are_refused(versions: Versions, name: str) -> None:
    for ask in (
        lambda: versions.numbers(name),
        lambda: versions.record(name, 1),
        lambda: versions.claim(name, 1, HEAD),
        lambda: versions.add(HEAD, b"", name),
        lambda: list(versions.bundles(HEAD, name)),
    ):
        with pytest.raises(UsageError):
            ask()


def test_signatures_come_back_by_digest(versions: Versions) -> None:
    added = {versions.add(HEAD, b"%d" % n, "cats"): b"%d" % n for n in range(5)}
    versions.add(HEAD, b"3", "cats")
    versions.add(OTHER, b"of another head", "cats")
    assert list(versions.bundles(HEAD, "cats")) == sorted(added.items())
    assert list(versions.bundles(HEAD, "dogs")) == []


def test_a_removed_signature_is_gone(versions: Versions) -> None:
    digest = versions.add(HEAD, b"bundle", "cats")
    versions.remove(HEAD, digest, "cats")
    versions.remove(HEAD, digest, "cats")
    assert list(versions.bundles(HEAD, "cats")) == []


def test_signatures_that_are_not_their_name_are_skipped_and_reported(
    versions: Versions, tmp_path: Path, reports: list[str]
) -> None:
    good = versions.add(HEAD, b"bundle", "cats")
    folder = VERSIONS.prefix(HEAD, "cats")
    plant(tmp_path, f"{folder}/{digest_segment(OTHER)}")
    plant(tmp_path, f"{folder}/README \x1b[2J")
    plant(tmp_path, f"{folder}/{digest_segment(sha256_digest(b'giant'))}", b"x" * (256 * 1024 + 1))
    (tmp_path / folder / digest_segment(sha256_digest(b"link"))).symlink_to(
        tmp_path / folder / digest_segment(good)
    )
    (tmp_path / folder / digest_segment(sha256_digest(b"folder"))).mkdir()
    assert list(versions.bundles(HEAD, "cats")) == [(good, b"bundle")]
    assert len(reports) == 5
    assert not any("\x1b" in report for report in reports)


def test_a_flood_of_signatures_is_cut_and_reported(
    versions: Versions, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provreg.store.registry.statements.MAX_BUNDLES", 10)
    for n in range(11):
        versions.add(HEAD, b"%d" % n, "cats")
    assert len(list(versions.bundles(HEAD, "cats"))) == 10
    assert "more than 10" in reports[0]


def test_an_oversized_bundle_is_not_stored(versions: Versions) -> None:
    with pytest.raises(InputError, match="bundle"):
        versions.add(HEAD, b"x" * (256 * 1024 + 1), "cats")
    assert list(versions.bundles(HEAD, "cats")) == []


def test_a_squatted_signature_is_refused(versions: Versions, tmp_path: Path) -> None:
    plant(tmp_path, VERSIONS.bundle_key(HEAD, sha256_digest(b"bundle"), "cats"))
    with pytest.raises(DamagedError):
        versions.add(HEAD, b"bundle", "cats")


PUBLISH = """
import sys
from pathlib import Path
from provreg.core.encoding.digest import sha256_digest
from provreg.store.registry.folder import init
from provreg.store.registry.objects import Objects
from provreg.store.registry.statements import VERSIONS
from provreg.store.registry.versions import Versions

def publish(folder, number):
    store = init(Path(folder))
    objects, versions = Objects(store), Versions(store)
    objects.put(b"part")
    head = objects.put(b"head", "sha256")
    versions.add(head, b"bundle", "cats")
    return versions.claim("cats", number, head)
"""

# Runs `publish` in a child that dies at its n-th step on the file system, just before or just
# after it is done, for every n until a child gets through.
KILLED = (
    PUBLISH
    + """
import itertools, os

STEPS = ("open", "mkdir", "fsync", "link", "unlink", "close")

def die_at(last, before):
    count = itertools.count()
    def dying(real):
        def step(*args, **options):
            here = next(count)
            if here == last and before:
                os._exit(9)
            result = real(*args, **options)
            if here == last:
                os._exit(9)
            return result
        return step
    for name in STEPS:
        setattr(os, name, dying(getattr(os, name)))

def child(folder, last, before):
    pid = os.fork()
    if pid == 0:
        die_at(last, before)
        publish(folder, 1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for before in (True, False):
    for last in itertools.count():
        folder = f"{sys.argv[1]}/{'before' if before else 'after'}-{last:03d}"
        if child(folder, last, before) == 0:
            break
"""
)


def test_killed_at_any_step_a_version_is_complete_or_absent_and_a_retry_works(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True, timeout=110)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) > 100, "every step was tried"
    complete = 0
    for folder in folders:
        store = LocalBackend(folder)
        versions, objects = Versions(store), Objects(store)
        if numbers := versions.numbers("cats"):
            complete += 1
        else:
            objects.put(b"part")
            head = objects.put(b"head", "sha256")
            versions.add(head, b"bundle", "cats")
            assert versions.claim("cats", 1, head)
            numbers = versions.numbers("cats")
        assert numbers == [1]
        head = versions.record("cats", 1)
        assert objects.get(head, 10) == b"head"
        bundle = (sha256_digest(b"bundle"), b"bundle")
        assert list(versions.bundles(head, "cats")) == [bundle]
        for path in (folder / "objects").rglob("*-*"):
            objects.get(digest_of_key(path.name), 10)
    assert 2 < complete < len(folders) / 2, "both outcomes were seen"


RACING = (
    PUBLISH
    + """
store = init(Path(sys.argv[1]))
objects, versions = Objects(store), Versions(store)
for turn in range(12):
    head = objects.put(b"head %s %d" % (sys.argv[2].encode(), turn), "sha256")
    while not versions.claim("cats", number := (versions.numbers("cats") or [0])[-1] + 1, head):
        pass
    print(number, head)
"""
)


def test_eight_processes_racing_get_every_number_once_and_lose_nothing(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, str(tmp_path), str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(8)
    ]
    told = [
        line.split()
        for racer in racers
        for line in racer.communicate(timeout=110)[0].split("\n")
        if line
    ]
    assert all(racer.returncode == 0 for racer in racers)
    store = LocalBackend(tmp_path)
    versions, objects = Versions(store), Objects(store)
    assert versions.numbers("cats") == list(range(1, 8 * 12 + 1))
    assert sorted((int(number), head) for number, head in told) == [
        (number, versions.record("cats", number)) for number in versions.numbers("cats")
    ]
    assert len({objects.get(head, 20) for _, head in told}) == 8 * 12
    assert list(store.list("tmp")) == []


# Proposals


def test_proposals_are_listed_by_number_and_found_by_their_key(versions: Versions) -> None:
    assert versions.proposals("cats") == []
    assert not versions.is_proposed("cats", 2, HEAD)
    versions.propose("cats", 10, OTHER)
    versions.propose("cats", 2, HEAD)
    versions.propose("cats", 2, HEAD)
    assert versions.proposals("cats") == [(2, HEAD), (10, OTHER)]
    assert versions.proposals("cats", above=2) == [(10, OTHER)]
    assert versions.is_proposed("cats", 2, HEAD)
    assert not versions.is_proposed("cats", 10, HEAD)
    assert (versions.proposed(), versions.datasets()) == (["cats"], [])
    versions.withdraw("cats", 2, HEAD)
    versions.withdraw("cats", 2, HEAD)
    assert versions.proposals("cats") == [(10, OTHER)]
    with pytest.raises(UsageError):
        versions.proposals("..")


@pytest.mark.parametrize(
    "name",
    ["00000000-sha256-" + "0" * 64, "1-sha256-" + "0" * 64, "00000001-blake3-" + "0" * 64,
     "00000001-sha256-" + "0" * 63, "00000001-sha256:" + "0" * 64, "00000001"],
)  # fmt: skip
def test_what_is_called_otherwise_is_no_proposal(
    tmp_path: Path, versions: Versions, reports: list[str], name: str
) -> None:
    plant(tmp_path, f"datasets/cats/proposals/{name}.json")
    assert versions.proposals("cats") == []
    assert "is not a proposal" in reports[0]
