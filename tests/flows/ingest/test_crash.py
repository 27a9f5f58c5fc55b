"""A process killed, or a disk failing, at every single step that ingestion makes on files.

The child counts the calls that change the file system. Killed at the n-th, for every n, it leaves
the old version or the new one behind, and whoever comes next can go on.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import provreg
from provreg.errors import NotFoundError, StorageError
from provreg.flows.ingest.request import Ingestion
from provreg.flows.receipts.publish import publish_receipt
from provreg.flows.receipts.runs import RunJudge, members
from provreg.store.private.pending_receipts import list_pending, read_pending

if TYPE_CHECKING:
    from tests.conftest import Bench

CHANGING = ("link", "unlink", "mkdir", "fsync", "replace", "rename", "open", "write", "pwrite",
            "ftruncate")  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@contextmanager
def interrupted(act: Callable[[str], None]) -> Iterator[list[str]]:
    """Calls `act` before every call that changes the file system; yields the calls so far."""
    calls: list[str] = []
    before = {name: getattr(os, name) for name in CHANGING}

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            writing = name != "open" or args[1] & _WRITING
            if writing:
                calls.append(name)
                act(name)
            return real(*args, **options)

        return wrapped

    try:
        for name, real in before.items():
            setattr(os, name, wrap(name, real))
        yield calls
    finally:
        for name, real in before.items():
            setattr(os, name, real)


def count_calls(work: Callable[[], object]) -> list[str]:
    with interrupted(lambda _name: None) as calls:
        work()
    return list(calls)


def in_child(work: Callable[[], object], kill_at: int) -> int:
    """Runs `work` in a forked process that is killed at its n-th call; returns its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    left = kill_at

    def act(_name: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    try:
        with interrupted(act):
            work()
    finally:
        os._exit(7)


def failing_at(step: int, number: int, work: Callable[[], object]) -> StorageError | None:
    """The error of `work` when its n-th call fails; anything but ours escapes."""
    left = step

    def act(_name: str) -> None:
        nonlocal left
        left -= 1
        if left == -1:
            raise OSError(number, os.strerror(number))

    try:
        with interrupted(act):
            work()
    except StorageError as error:
        return error
    return None


class Saved:
    """The registry and the consumer's own folders as they are now, to come back to."""

    def __init__(self, bench: Bench, home: Path) -> None:
        self._folders = (bench.registry, home)
        self._copy = bench.folder / "saved"
        for folder in self._folders:
            shutil.copytree(folder, self._copy / folder.name)

    def restore(self) -> None:
        for folder in self._folders:
            shutil.rmtree(folder)
            # Stat caches look at inodes of the data alone, which stay.
            shutil.copytree(self._copy / folder.name, folder)
        os.chdir(self._folders[1])


def newest(bench: Bench) -> int:
    """The version that verifies, 0 where there is none yet; anything else is a failure."""
    try:
        return bench.open().verify("pets").head.version
    except NotFoundError:
        return 0


def signed(bench: Bench) -> int:
    """How many bundles there are over heads of pets."""
    return len(list((bench.registry / "datasets/pets/signatures").glob("*/*")))


def check_survived(bench: Bench, data: Path, before: int) -> int:
    """What holds after any interruption; returns the version that was found."""
    found = newest(bench)
    assert found in (before, before + 1)
    assert list(bench.open().check()) == []
    outcome = bench.ingest(data, labeler="ann")
    assert newest(bench) == before + 1
    assert (outcome.head is None) == (found == before + 1)
    return found


def prepare(bench: Bench, before: int) -> Path:
    """Data for the next version after `before` others, everything imported and warm."""
    bench.ingest(bench.pets("warm"), name="warm")
    bench.open().sync()
    for number in range(before):
        bench.ingest(bench.pets(count=6 + number), labeler="ann")
    return bench.pets(count=20)


@pytest.fixture(autouse=True)
def one_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object after the other, so that the n-th call is the same in every run."""
    monkeypatch.setattr("provreg.store.registry.objects._WRITERS", 1)


@pytest.mark.parametrize(
    ("before", "stride"),
    [
        pytest.param(1, 5, id="second version, every fifth step"),
        pytest.param(0, 5, id="first version, every fifth step"),
        pytest.param(1, 1, id="second version", marks=pytest.mark.long),
        pytest.param(0, 1, id="first version", marks=pytest.mark.long),
    ],
)
def test_killed_at_any_step_leaves_the_old_or_the_new_version(
    bench: Bench, home: Path, before: int, stride: int
) -> None:
    data = prepare(bench, before)
    saved = Saved(bench, home)
    steps = count_calls(lambda: bench.ingest(data, labeler="ann"))
    assert len(steps) > 30
    assert {"link", "mkdir", "fsync", "replace"} <= set(steps)
    found = []
    # The last one too: after it the new version is there, whatever the stride.
    for step in [*range(0, len(steps) - 1, stride), len(steps) - 1]:
        saved.restore()
        status = in_child(lambda: bench.ingest(data, labeler="ann"), step)
        assert os.WIFSIGNALED(status), (step, steps[step])
        found.append(check_survived(bench, data, before))
    assert set(found) == {before, before + 1}
    # Once it is there it stays: no later step takes it back.
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("before", "number", "stride"),
    [
        pytest.param(1, errno.ENOSPC, 5, id="full, second version, every fifth step"),
        pytest.param(0, errno.EIO, 5, id="broken, first version, every fifth step"),
        *(
            pytest.param(before, number, 1, id=f"{errno.errorcode[number]}, {before} before",
                         marks=pytest.mark.long)
            for before in (0, 1) for number in (errno.ENOSPC, errno.EIO)
        ),
    ],
)  # fmt: skip
def test_a_failing_disk_at_any_step_is_a_storage_error(
    bench: Bench, home: Path, before: int, number: int, stride: int
) -> None:
    data = prepare(bench, before)
    saved = Saved(bench, home)
    steps = count_calls(lambda: bench.ingest(data, labeler="ann"))
    failed = 0
    for step in range(0, len(steps), stride):
        saved.restore()
        error = failing_at(step, number, lambda: bench.ingest(data, labeler="ann"))
        if error is not None:
            failed += 1
            assert os.strerror(number) in error.message, (step, steps[step])
            assert error.hint, (step, steps[step])
            assert "is published" not in error.message or newest(bench) == before + 1
            # What is signed and has no number could get it later, from whoever can write there.
            assert signed(bench) == newest(bench), (step, steps[step])
        check_survived(bench, data, before)
    # Most steps matter; what only saves time (the stat cache) may fail in silence.
    assert failed > len(steps) / stride * 0.7


def test_killed_at_any_step_of_a_sync_leaves_an_index_that_is_made_right(
    bench: Bench, home: Path
) -> None:
    prepare(bench, 2)
    saved = Saved(bench, home)
    steps = count_calls(lambda: bench.open().sync())
    for step in range(0, len(steps), 3):
        saved.restore()
        in_child(lambda: bench.open().sync(), step)
        registry = bench.open()
        assert registry.sync() == []
        assert list(registry.check(index=True)) == []


def dying(real: Callable[..., None], survived: int, moment: str) -> Callable[..., None]:
    """`real`, killed before or after the work of its call after `survived` others."""
    left = survived

    def call(*args: Any, **options: Any) -> None:
        nonlocal left
        left -= 1
        if left == -1 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **options)
        if left == -1:
            os.kill(os.getpid(), signal.SIGKILL)

    return call


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_between_any_two_versions_of_a_sync_goes_on(
    bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """DuckDB writes on its own: the kill comes around its transactions."""
    from provreg.flows.index import sync
    from provreg.store.index.index import Index

    monkeypatch.setattr(sync, "_MOST_VERSIONS", 1)
    prepare(bench, 3)
    saved = Saved(bench, home)
    for survived in range(3):
        saved.restore()
        with monkeypatch.context() as patched:
            patched.setattr(Index, "add", dying(Index.add, survived, moment))
            assert os.WIFSIGNALED(in_child(lambda: bench.open().sync(), 10**9))
        registry = bench.open()
        assert registry.sync() == []
        assert list(registry.check(index=True)) == []


def test_what_is_left_behind_is_json_and_objects_only(bench: Bench, home: Path) -> None:
    data = prepare(bench, 1)
    steps = count_calls(lambda: bench.ingest(data, labeler="ann"))
    assert steps
    assert not any(name.startswith("tmp") for name in bench.files())
    record = json.loads(bench.record(2).read_bytes())
    assert sorted(record) == ["head", "nonce"]


@pytest.mark.parametrize("what", ["sign", "revoke", "latest"])
def test_killed_at_any_step_of_a_signature_leaves_it_or_nothing(
    bench: Bench, home: Path, what: str
) -> None:
    prepare(bench, 2)
    roles: dict[str, Any] = {"revoke": ("chief",), "attest": ("chief",), "mandatory": False}
    signer = bench.signer("chief")

    def work() -> None:
        # Anew each time: a registry remembers the folders that it has made.
        registry = bench.open(**roles)
        if what == "sign":
            registry.countersign(registry.review("pets"), signer)
        elif what == "revoke":
            registry.revoke("pets@1", "poison", signer)
        else:
            registry.sign_latest("pets", signer, valid=timedelta(days=1))

    saved = Saved(bench, home)
    steps = count_calls(work)
    made = bench.files()
    for step in range(0, len(steps), 2):
        saved.restore()
        status = in_child(work, step)
        assert os.WIFSIGNALED(status), (step, steps[step])
        assert list(bench.open().check()) == []
        assert bench.open(**roles).verify("pets").head.version == 2
        work()
        assert list(bench.open().check()) == []
        # Signing again ends where it would have ended.
        assert len(bench.files()) >= len(made)


def test_failing_disk_at_any_step_of_a_revocation_leaves_no_signed_one_to_be_numbered_by_others(
    bench: Bench, home: Path
) -> None:
    prepare(bench, 1)
    roles: dict[str, Any] = {"revoke": ("chief",)}
    signer = bench.signer("chief")

    def work() -> None:
        bench.open(**roles).revoke("pets@1", "poison", signer)

    saved = Saved(bench, home)
    steps = count_calls(work)
    failed = 0
    for step in range(len(steps)):
        saved.restore()
        failed += failing_at(step, errno.ENOSPC, work) is not None
        bundles = [name for name in bench.files() if "revocations/signatures" in name]
        numbers = [name for name in bench.files() if "revocations" in name and name not in bundles]
        assert len(bundles) == len(numbers), (step, steps[step])
    assert failed > len(steps) / 2


def test_killed_at_any_step_of_a_receipt_leaves_it_whole_or_to_be_signed(
    bench: Bench, home: Path
) -> None:
    prepare(bench, 1)
    data, model, key = bench.folder / "pets", bench.folder / "model.bin", bench.key_file()
    model.write_bytes(b"weights")

    def work() -> None:
        registry = {"registry": bench.registry, "key": key}
        samples = provreg.load("pets@1", data=data, exclude_revoked=True, **registry)
        with provreg.training_run(samples, model=model, sign=bench.signer()):
            list(samples)

    def whole() -> list[str]:
        """The receipts of the registry, each read with all that it names."""
        workspace = bench.open().workspace
        judge = RunJudge(workspace, bench.trust())
        receipts = [one for one in workspace.runs.digests() if workspace.runs.has_bundles(one)]
        for digest in receipts:
            [on] = judge.run(digest).receipt.datasets
            assert members(workspace, on).all()
        return receipts

    work()
    shutil.rmtree(bench.registry / "runs")
    saved = Saved(bench, home)
    steps = count_calls(work)
    found = []
    for step in range(len(steps)):
        saved.restore()
        status = in_child(work, step)
        assert os.WIFSIGNALED(status), (step, steps[step])
        assert list(bench.open().check()) == []
        published, waiting = whole(), list_pending()
        assert len(published) <= 1
        assert len(waiting) <= 1
        found.append((len(published), len(waiting)))
        for path in waiting:
            publish_receipt(bench.open().workspace, read_pending(path)[0], bench.signer())
            assert len(whole()) == 1
    # Nothing yet, kept, kept and published, published: never backwards, and never lost.
    assert list(dict.fromkeys(found)) == [(0, 0), (0, 1), (1, 1), (1, 0)]


def propose(bench: Bench, data: Path) -> str:
    """The reference of a proposal by alice, where two must sign."""
    ingestion = Ingestion("pets", (data,), source="shelter", propose=True)
    outcome = bench.open("alice", "bob", threshold=2).ingest(ingestion, bench.signer())
    assert outcome.proposed is not None
    return f"pets@{outcome.proposed.digest}"


def complete(bench: Bench, reference: str) -> bool:
    """Whether bob's signature published it."""
    registry = bench.open("alice", "bob", threshold=2)
    return registry.countersign(registry.review(reference), bench.signer("bob")).published


def prepare_two(bench: Bench) -> Path:
    """pets@1 is by both; everything is imported and warm. Data for the next version."""
    bench.ingest(bench.pets("warm"), name="warm")
    bench.open().sync()
    assert complete(bench, propose(bench, bench.pets()))
    return bench.pets(count=20)


def states(bench: Bench) -> list[str]:
    return [one.state for one in bench.open("alice", "bob", threshold=2).proposals()]


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.long)])
def test_killed_at_any_step_of_a_proposal_leaves_it_or_nothing(
    bench: Bench, home: Path, stride: int
) -> None:
    data = prepare_two(bench)
    saved = Saved(bench, home)
    steps = count_calls(lambda: propose(bench, data))
    found = []
    for step in [*range(0, len(steps) - 1, stride), len(steps) - 1]:
        saved.restore()
        status = in_child(lambda: propose(bench, data), step)
        assert os.WIFSIGNALED(status), (step, steps[step])
        found.append(states(bench))
        assert found[-1] in ([], ["waiting"])
        assert list(bench.open().check()) == []
        both = bench.open("alice", "bob", threshold=2)
        assert both.verify("pets").head.version == 1
        assert complete(bench, propose(bench, data))
        assert bench.open("alice", "bob", threshold=2).verify("pets").head.version == 2
        assert states(bench) == []
    assert found == sorted(found)


@pytest.mark.parametrize("stride", [2, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("how", ["killed", "disk full"])
def test_stopped_at_any_step_of_completing_a_proposal_leaves_what_signing_again_publishes(
    bench: Bench, home: Path, how: str, stride: int
) -> None:
    data = prepare_two(bench)
    reference = propose(bench, data)
    saved = Saved(bench, home)
    steps = count_calls(lambda: complete(bench, reference))
    found = []
    for step in [*range(0, len(steps) - 1, stride), len(steps) - 1]:
        saved.restore()
        if how == "killed":
            status = in_child(lambda: complete(bench, reference), step)
            assert os.WIFSIGNALED(status), (step, steps[step])
        else:
            failing_at(step, errno.ENOSPC, lambda: complete(bench, reference))
        found.append(states(bench))
        both = bench.open("alice", "bob", threshold=2)
        assert both.verify("pets").head.version == (1 if found[-1] else 2)
        assert list(both.check()) == []
        if found[-1]:
            assert complete(bench, reference)
        assert bench.open("alice", "bob", threshold=2).verify("pets").head.version == 2
        assert states(bench) == []
    # Waits, lacks its number only, is a version: never backwards.
    order = [["waiting"], ["complete"], []]
    assert [order.index(one) for one in found] == sorted(order.index(one) for one in found)
    assert [] in found
    assert ["complete"] in found
