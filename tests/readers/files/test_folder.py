"""readers.files.folder and listing: which files are samples, and every way to cheat at it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provreg.core.encoding.digest import blake3_digest, written_digest
from provreg.core.manifest.entry import SAMPLE
from provreg.errors import FormatError, InputError, NotFoundError, StorageError, UsageError
from provreg.readers.api import ReadResult
from provreg.readers.files import hashing, walk
from provreg.readers.files.folder import (
    FolderOptions,
    options_from_reading,
    read_folder,
)
from provreg.readers.files.folder_access import FolderFiles
from provreg.readers.files.globs import Globs
from provreg.readers.files.walk import list_samples

NO_LABEL = FolderOptions(label="none")


def make(root: Path, *ids: str, data: str = "") -> Path:
    """Files named `ids` below `root`, each holding its id."""
    for name in ids:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data or name)
    return root


def ids_of(samples: ReadResult) -> list[str]:
    found: list[str] = samples.table["id"].to_pylist()
    return found


def listed(root: Path, **options: object) -> list[str]:
    found = list_samples([root], **options)  # type: ignore[arg-type]
    return [run.prefix + name for run in found.runs for name in run.names]


def refused(root: Path, match: str) -> InputError:
    """The error of reading `root`; and the same file must be a finding where they are collected."""
    with pytest.raises(InputError, match=match) as caught:
        read_folder([root], NO_LABEL)
    assert caught.value.sample is not None
    samples = read_folder([root], NO_LABEL, collect=True)
    assert caught.value.sample not in ids_of(samples)
    assert samples.findings
    return caught.value


# ---- what is a sample


def test_samples_are_the_files_with_their_digest_size_label_and_split(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg")
    samples = read_folder([tmp_path], FolderOptions(label="dir", split="dir"))
    assert samples.table.schema == SAMPLE
    rows = samples.table.select(["id", "size", "label", "split"]).to_pylist()
    assert rows == [
        {"id": "test/cat/3.jpg", "size": 14, "label": "cat", "split": "test"},
        {"id": "train/cat/1.jpg", "size": 15, "label": "cat", "split": "train"},
        {"id": "train/dog/2.jpg", "size": 15, "label": "dog", "split": "train"},
    ]
    for row in samples.table.to_pylist():
        assert written_digest(row["content"]) == blake3_digest(row["id"].encode())
        assert row["source"] is row["labeler"] is row["attrs"] is None
    assert samples.reused == 0
    assert samples.findings == ()


def test_label_none_leaves_labels_null(tmp_path: Path) -> None:
    samples = read_folder([make(tmp_path, "a.txt", "b/c.txt")], NO_LABEL)
    assert samples.table["label"].null_count == samples.table["split"].null_count == 2


@pytest.mark.parametrize(
    ("ids", "options"),
    [
        (["a.txt", "cat/b.txt"], FolderOptions(label="dir")),
        (["a.txt", "train/b.txt"], FolderOptions(label="none", split="dir")),
        (["cat/a.txt"], FolderOptions(label="dir", split="dir")),
    ],
)
def test_sample_without_the_folder_of_its_label_or_split_is_refused(
    tmp_path: Path, ids: list[str], options: FolderOptions
) -> None:
    with pytest.raises(InputError, match=re.escape(ids[0])) as caught:
        read_folder([make(tmp_path, *ids)], options)
    assert "--label none" in caught.value.hint
    assert ids_of(read_folder([tmp_path], options, collect=True)) == sorted(ids)


def test_ids_are_sorted_by_bytes_whatever_folders_and_files_mix(tmp_path: Path) -> None:
    ids = ["a-b/x", "a/x", "a.txt", "a/z/1", "a/z-", "a0", "é/x", "z", "a/z.", "B"]
    assert listed(make(tmp_path, *ids)) == sorted(ids, key=str.encode)


_SEGMENT = st.text("aAb-.0é~ ", min_size=1, max_size=3).filter(lambda name: name[0] != ".")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(paths=st.sets(st.lists(_SEGMENT, min_size=1, max_size=3).map("/".join), max_size=12))
def test_any_tree_lists_its_files_in_the_order_of_their_bytes(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    made = [
        path
        for path in sorted(paths)
        if not any(str(parent) in paths for parent in PurePosixPath(path).parents)
    ]
    make(root, *made)
    found = list_samples([root], collect=True)
    ids = [run.prefix + name for run in found.runs for name in run.names]
    assert ids == sorted(made, key=str.encode)


def test_several_paths_begin_ids_with_their_names(tmp_path: Path) -> None:
    make(tmp_path, "x/train/cat/1", "y/test/cat/2", "z/extra.txt")
    paths = [tmp_path / "x/train", tmp_path / "z/extra.txt", tmp_path / "y/test"]
    samples = read_folder(paths, NO_LABEL)
    assert ids_of(samples) == ["extra.txt", "test/cat/2", "train/cat/1"]
    assert written_digest(samples.table["content"][0].as_py()) == blake3_digest(b"z/extra.txt")


def test_several_paths_of_one_name_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "x/train/1", "y/train/2")
    with pytest.raises(UsageError, match="several paths are named 'train'"):
        list_samples([tmp_path / "x/train", tmp_path / "y/train"])


def test_single_file_is_one_sample(tmp_path: Path) -> None:
    make(tmp_path, "a/b.txt")
    assert ids_of(read_folder([tmp_path / "a/b.txt"], NO_LABEL)) == ["b.txt"]


def test_path_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        list_samples([tmp_path / "nothing"])


def test_path_of_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError):
        list_samples([tmp_path / "pipe"])


def test_no_path_and_the_whole_file_system_are_refused() -> None:
    for paths in ([], ["/"]):
        with pytest.raises(UsageError):
            list_samples(paths)


# ---- what is left out


def test_hidden_and_system_files_and_the_registry_are_left_out_and_counted(tmp_path: Path) -> None:
    make(tmp_path, "a", ".git/config", ".hidden", "b/.DS_Store", "Thumbs.db", "b/desktop.ini")
    make(tmp_path, "reg/objects/00/x", "b/c")
    samples = read_folder([tmp_path], NO_LABEL, leave_out=[tmp_path / "reg"])
    assert ids_of(samples) == ["a", "b/c"]
    assert samples.reading["left_out"] == {"hidden": 2, "system": 3, "registry": 1}


def test_registry_reached_through_a_link_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a", "reg/objects/x")
    (tmp_path / "to-folder").symlink_to("reg/objects")
    (tmp_path / "to-file").symlink_to("reg/objects/x")
    assert listed(tmp_path, leave_out=[tmp_path / "reg"]) == ["a"]


def test_path_inside_the_registry_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "reg/objects/x")
    for path in (tmp_path / "reg", tmp_path / "reg/objects"):
        with pytest.raises(UsageError, match="inside the registry"):
            list_samples([path], leave_out=[tmp_path / "reg"])


def test_folder_without_samples_says_what_was_left_out(tmp_path: Path) -> None:
    make(tmp_path, ".a", ".b")
    with pytest.raises(InputError, match="holds no samples") as caught:
        read_folder([tmp_path], NO_LABEL)
    assert caught.value.hint == "left out: 2 hidden"
    samples = read_folder([tmp_path], NO_LABEL, collect=True)
    assert samples.table.num_rows == 0
    assert samples.table.schema == SAMPLE


@pytest.mark.parametrize(
    ("pattern", "matches", "misses"),
    [
        ("*.jpg", ["a.jpg", "x/y/a.jpg", "a.jpg/b"], ["a.jpeg", "a.jpg.txt"]),
        ("/*.jpg", ["a.jpg"], ["x/a.jpg"]),
        ("x/*.jpg", ["x/a.jpg"], ["x/y/a.jpg", "y/x/a.jpg"]),
        ("x/**/a", ["x/a", "x/y/a", "x/y/z/a"], ["xx/a", "x/ya"]),
        ("**/x/a", ["x/a", "y/x/a"], ["yx/a"]),
        ("x/**", ["x/a", "x/b/c"], ["x", "y/x/a"]),
        ("x/", ["x/a", "y/x/b"], ["xy"]),
        ("a?[0-9]", ["ab1", "x/aé9"], ["a/1", "a1"]),
        ("[!a]b", ["bb", "éb"], ["ab", "x/ab"]),
        ("a[!b]c", ["axc"], ["a/c"]),
        ("a+(b)|c^$", ["a+(b)|c^$"], ["ab", "c"]),
        ("a]b[", ["a]b["], ["ab"]),
        ("[]x]", ["]", "x"], ["y"]),
        ("Cat", ["Cat", "Cat/1"], ["cat"]),
    ],
)
def test_pattern_means_what_is_documented(
    pattern: str, matches: list[str], misses: list[str]
) -> None:
    globs = Globs([pattern])
    assert globs.matching(matches) == [True] * len(matches)
    assert globs.matching(misses) == [False] * len(misses)


@pytest.mark.parametrize(
    "pattern",
    ["", "/", "a/**b", "a//b", "../a", "a/./b", "[b-a]", "[+-9]", "a\nb", "x" * 1025, "[!]"],
)
def test_pattern_that_makes_no_sense_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError):
        FolderOptions(exclude=(pattern,))


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(UsageError):
        FolderOptions(include=("a",) * 257)


def test_pattern_made_to_backtrack_takes_no_time() -> None:
    assert Globs(["*a" * 100 + "b"]).matching(["a" * 4000]) == [False]


def test_include_and_exclude_choose_by_id(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.jpg", "cat/1.txt", "dog/2.jpg", "junk/3.jpg")
    options = FolderOptions(include=("*.jpg",), exclude=("junk/",))
    samples = read_folder([tmp_path], options)
    assert ids_of(samples) == ["cat/1.jpg", "dog/2.jpg"]
    assert samples.reading["left_out"] == {"filtered": 2}


def test_excluded_folder_is_not_entered(tmp_path: Path) -> None:
    make(tmp_path, "a", "junk/b")
    os.mkfifo(tmp_path / "junk/pipe")
    assert listed(tmp_path, exclude=["junk/"]) == ["a"]


# ---- links


def test_links_inside_the_root_are_followed(tmp_path: Path) -> None:
    make(tmp_path, "store/x/1", "store/2")
    (tmp_path / "a").symlink_to("store/2")
    (tmp_path / "b").symlink_to(tmp_path / "store")
    (tmp_path / "c").symlink_to("a")
    samples = read_folder([tmp_path], NO_LABEL)
    assert ids_of(samples) == ["a", "b/2", "b/x/1", "c", "store/2", "store/x/1"]
    contents = [written_digest(content) for content in samples.table["content"].to_pylist()]
    two, one = blake3_digest(b"store/2"), blake3_digest(b"store/x/1")
    assert contents == [two, two, one, two, two, one]
    with FolderFiles([tmp_path]) as files:
        assert [files.read(name, limit=99) for name in ids_of(samples)] == [
            b"store/2", b"store/2", b"store/x/1", b"store/2", b"store/2", b"store/x/1"
        ]  # fmt: skip


def test_link_leaving_the_root(tmp_path: Path) -> None:
    make(tmp_path, "secret", "root/a", "root2/b")
    (tmp_path / "root/link").symlink_to("../secret")
    error = refused(tmp_path / "root", "'link' is a link that leaves the folder")
    assert error.sample == "link"
    (tmp_path / "root/link").unlink()
    (tmp_path / "root/link").symlink_to("../root2")
    refused(tmp_path / "root", "'link' is a link that leaves the folder")


def test_link_leaving_the_root_through_a_link_inside(tmp_path: Path) -> None:
    make(tmp_path, "secret/s", "root/a")
    (tmp_path / "root/.inner").symlink_to(tmp_path / "secret")
    (tmp_path / "root/link").symlink_to(".inner/s")
    refused(tmp_path / "root", "'link' is a link that leaves")


def test_link_to_nothing_and_link_to_itself(tmp_path: Path) -> None:
    make(tmp_path, "a")
    (tmp_path / "dangling").symlink_to("nothing")
    refused(tmp_path, "'dangling' is a link to nothing")
    (tmp_path / "dangling").unlink()
    (tmp_path / "self").symlink_to("self")
    refused(tmp_path, "'self' is a link to nothing")


def test_link_cycle(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c")
    for target in ("..", "../..", "."):
        (tmp_path / "a/b/back").symlink_to(target)
        refused(tmp_path, "'a/b/back' is a link to a folder it lies in")
        (tmp_path / "a/b/back").unlink()


def test_links_that_multiply_folders(tmp_path: Path) -> None:
    make(tmp_path, "a/x", "b/x", "c/x")
    for folder, below in (("a", "b"), ("b", "c")):
        for number in range(2):
            (tmp_path / folder / f"l{number}").symlink_to(f"../{below}")
    refused(tmp_path, "below another such link")


def test_link_to_a_device(tmp_path: Path) -> None:
    make(tmp_path, "a")
    os.mkfifo(tmp_path / ".pipe")
    (tmp_path / "link").symlink_to(".pipe")
    refused(tmp_path, "'link' is not a regular file")


# ---- files that are none, and names that cannot be ids


def test_pipe_in_the_folder_is_named_and_never_waited_for(tmp_path: Path) -> None:
    make(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path, "'pipe' is not a regular file")


def test_socket_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        refused(tmp_path, "'socket' is not a regular file")


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    make(tmp_path, "a")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/x\xff")).write_text("x")
    error = refused(tmp_path, r"'x\\udcff' is not UTF-8")
    error.message.encode()
    finding = read_folder([tmp_path], NO_LABEL, collect=True).findings[0]
    assert (finding.kind, finding.id) == ("stranger", "x\\udcff")


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\n", "\x7f", "\u202e", "\u200f", "\x85"])
def test_name_with_terminal_escape_or_bidirectional_override(tmp_path: Path, hostile: str) -> None:
    make(tmp_path, "a", f"x/cat{hostile}gpj")
    error = refused(tmp_path, "contains control or bidirectional characters")
    assert hostile not in error.message
    finding = read_folder([tmp_path], NO_LABEL, collect=True).findings[0]
    assert finding.kind == "stranger"
    assert hostile not in finding.id


def test_folder_name_with_terminal_escape(tmp_path: Path) -> None:
    make(tmp_path, "a", "x\x1b]0;/b")
    refused(tmp_path, "contains control")
    with pytest.raises(InputError, match="contains control"):
        list_samples([tmp_path / "a", tmp_path / "x\x1b]0;"])


def test_id_longer_than_4096_bytes_or_deeper_than_200_folders(tmp_path: Path) -> None:
    make(tmp_path, "a")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("n" * 250, dir_fd=here)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    refused(tmp_path, "is longer than 4096 bytes")
    make(tmp_path / "deep", "ok", "d/" * 201 + "x")
    refused(tmp_path / "deep", "more than 200 folders deep")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/Cat.jpg", "a/cat.jpg"),
        ("A/x", "a/x"),
        ("caf\u00e9", "cafe\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("x/\u00c9/1", "x/e\u0301/1"),
        ("\u212a", "k"),
    ],
)
def test_case_folding_or_composing_twin(tmp_path: Path, one: str, other: str) -> None:
    make(tmp_path, "b/x", one, other)
    with pytest.raises(InputError, match="are one file on systems") as caught:
        read_folder([tmp_path], NO_LABEL)
    for name in (one, other):
        assert name in caught.value.message
    assert set(listed(tmp_path, collect=True)) == {"b/x", one, other}


def test_names_that_only_look_alike_are_no_twins(tmp_path: Path) -> None:
    ids = ["A/x", "a/y", "cat", "cot", "é", "è", "B/1", "b2/1"]
    assert set(listed(make(tmp_path, *ids))) == set(ids)
    folds = [unicodedata.normalize("NFC", name).casefold() for name in ids]
    assert len(set(folds)) == len(ids)


# ---- folders of tables


@pytest.mark.parametrize(
    "files",
    [
        ["dataset_info.json", "state.json", "data-00000-of-00001.arrow"],
        ["dataset_dict.json", "train/dataset_info.json"],
        ["README.md", "data/train-00000.parquet"],
        ["dataset_infos.json", "data/train.arrow"],
    ],
)
def test_unpacked_hugging_face_dataset_is_recognised(tmp_path: Path, files: list[str]) -> None:
    with pytest.raises(InputError, match="Hugging Face") as caught:
        read_folder([make(tmp_path, *files)], NO_LABEL)
    assert "--format huggingface" in caught.value.hint
    assert ids_of(read_folder([tmp_path], NO_LABEL, collect=True)) == sorted(files)


def test_readme_beside_a_data_folder_of_images_is_a_folder(tmp_path: Path) -> None:
    assert len(listed(make(tmp_path, "README.md", "data/cat/1.jpg"))) == 2


# ---- races


def test_file_replaced_by_link_between_listing_and_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "secret", "root/a", "root/b")

    def swap() -> None:
        (tmp_path / "root/b").unlink()
        (tmp_path / "root/b").symlink_to("../secret")

    after_listing(monkeypatch, swap)
    with pytest.raises(InputError, match="'b' was replaced by a link"):
        read_folder([tmp_path / "root"], NO_LABEL)


def test_folder_replaced_by_link_between_listing_and_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "secret/b", "root/x/b")

    def swap() -> None:
        (tmp_path / "root/x").rename(tmp_path / "moved")
        (tmp_path / "root/x").symlink_to("../secret")

    after_listing(monkeypatch, swap)
    with pytest.raises(InputError, match="'x/b' lies under a folder that was replaced"):
        read_folder([tmp_path / "root"], NO_LABEL)


def test_file_replaced_by_pipe_between_listing_and_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a", "b")

    def swap() -> None:
        (tmp_path / "b").unlink()
        os.mkfifo(tmp_path / "b")

    after_listing(monkeypatch, swap)
    with pytest.raises(InputError, match="'b' is not a regular file"):
        read_folder([tmp_path], NO_LABEL)


def test_file_that_vanishes_is_named_or_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a", "b", "c")
    after_listing(monkeypatch, lambda: (tmp_path / "b").unlink(missing_ok=True))
    with pytest.raises(InputError, match="'b' vanished"):
        read_folder([tmp_path], NO_LABEL)
    (tmp_path / "b").write_text("b")
    samples = read_folder([tmp_path], NO_LABEL, collect=True)
    assert ids_of(samples) == ["a", "c"]
    assert [(finding.kind, finding.id) for finding in samples.findings] == [("unreadable", "b")]
    assert len(samples.files.stats) == 2


def after_listing(monkeypatch: pytest.MonkeyPatch, act: object) -> None:
    """Has `act` happen between listing and reading."""
    original = walk.list_samples

    def list_then_act(*args: object, **options: object) -> object:
        found = original(*args, **options)  # type: ignore[arg-type]
        act()  # type: ignore[operator]
        return found

    monkeypatch.setattr("provreg.readers.files.folder.list_samples", list_then_act)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_file_and_folder_without_permission_are_named(tmp_path: Path) -> None:
    make(tmp_path, "a", "x/b")
    (tmp_path / "a").chmod(0)
    refused(tmp_path, "'a' cannot be read: permission denied")
    (tmp_path / "a").chmod(0o600)
    (tmp_path / "x").chmod(0)
    try:
        refused(tmp_path, "'x/' cannot be read: permission denied")
    finally:
        (tmp_path / "x").chmod(0o700)


# ---- known digests


class Known:
    """Knows every file whose inode is among `inodes`, by a digest of its own making."""

    def __init__(self, inodes: set[int]) -> None:
        self._inodes = inodes

    def lookup(self, stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        known = np.array([int(inode) in self._inodes for inode in stats[:, 1]], np.bool_)
        content = np.zeros((len(stats), 32), np.uint8)
        content[known] = 7
        return known, content


def test_known_digests_are_reused_and_their_files_not_read(tmp_path: Path) -> None:
    make(tmp_path, "a", "b/c", "b/d", "e")
    inodes = {(tmp_path / name).stat().st_ino for name in ("a", "b/d")}
    seen: list[tuple[int, int]] = []
    samples = read_folder(
        [tmp_path], NO_LABEL, known=Known(inodes), progress=lambda *done: seen.append(done)
    )
    assert samples.reused == 2
    contents = samples.table["content"].to_pylist()
    assert contents[0] == contents[2] == b"\7" * 32
    assert written_digest(contents[1]) == blake3_digest(b"b/c")
    assert samples.table["size"].to_pylist() == [1, 3, 3, 1]
    assert seen[-1] == (4, 8)
    plain = read_folder([tmp_path], NO_LABEL)
    assert (plain.files.stats == samples.files.stats).all()


def test_everything_known_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a", "b")
    inodes = {(tmp_path / name).stat().st_ino for name in ("a", "b")}
    monkeypatch.setattr(hashing, "hash_slice", None)
    assert read_folder([tmp_path], NO_LABEL, known=Known(inodes)).reused == 2


def test_sha256_is_taken_in_the_same_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a", "b/c", "b/d")
    opened: list[str] = []
    real = os.open

    def counting(path: str, *rest: object, **more: object) -> int:
        opened.append(str(path))
        return real(path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", counting)
    monkeypatch.setattr(hashing, "read_small", None)
    samples = read_folder([tmp_path], FolderOptions(label="none", sha256=True))
    assert [opened.count(name) for name in "acd"] == [1, 1, 1]
    for row in samples.table.to_pylist():
        data = row["id"].encode()
        assert written_digest(row["content"]) == blake3_digest(data)
        assert row["content_sha256"] == hashlib.sha256(data).digest()
    assert samples.reading["sha256"] is True
    without = read_folder([tmp_path], NO_LABEL)
    assert without.table["content_sha256"].null_count == 3
    assert "sha256" not in without.reading
    assert samples.table.drop("content_sha256").equals(without.table.drop("content_sha256"))


# ---- the head's record


@pytest.mark.parametrize(
    "options",
    [
        FolderOptions(),
        FolderOptions(label="none", split="dir", include=("*.jpg", "a/**"), exclude=("b",)),
        FolderOptions(label="none", sha256=True),
    ],
)
def test_options_come_back_from_reading(tmp_path: Path, options: FolderOptions) -> None:
    make(tmp_path, "a/x/1.jpg", "a/x/.hidden", "a/b")
    reading = read_folder([tmp_path], options).reading
    assert options_from_reading(reading) == options


@pytest.mark.parametrize(
    "change",
    [
        {"reader": "csv"},
        {"reader_version": 2},
        {"reader_version": True},
        {"label": "auto"},
        {"label": "dir\n"},
        {"split": None},
        {"include": "a"},
        {"include": [1]},
        {"exclude": ["../x"]},
        {"exclude": ["a"] * 300},
        {"left_out": []},
        {"left_out": {"hidden": 0}},
        {"left_out": {"unknown": 1}},
        {"sha256": False},
        {"sha256": 1},
        {"more": 1},
    ],
)
def test_reading_that_is_not_ours_is_refused(change: dict[str, object]) -> None:
    reading = {
        "reader": "folder", "reader_version": 1, "label": "dir", "split": "none",
        "include": [], "exclude": [], "left_out": {},
    }  # fmt: skip
    options_from_reading(reading)
    with pytest.raises(FormatError):
        options_from_reading(reading | change)
    for name in reading:
        with pytest.raises(FormatError):
            options_from_reading({key: value for key, value in reading.items() if key != name})
    with pytest.raises(UsageError):
        FolderOptions(label="auto")


# ---- single samples


def open_sample(root: Path, sample: str, *, limit: int) -> bytes:
    with FolderFiles([root]) as files:
        return files.read(sample, limit=limit)


@pytest.mark.parametrize(
    "hostile",
    ["../secret", "/etc/passwd", "a/../../secret", "a//b", "a/./b", "", ".", "..", "a/", "a\0b",
     "x" * 5000],
)  # fmt: skip
def test_id_that_leaves_the_root(tmp_path: Path, hostile: str) -> None:
    make(tmp_path, "secret", "root/a/b")
    with pytest.raises(InputError) as caught:
        open_sample(tmp_path / "root", hostile, limit=10)
    assert caught.value.sample == hostile


def test_sample_is_read_up_to_one_byte_more_than_expected(tmp_path: Path) -> None:
    make(tmp_path, "x/a", data="0123456789")
    assert open_sample(tmp_path, "x/a", limit=10) == b"0123456789"
    assert open_sample(tmp_path, "x/a", limit=99) == b"0123456789"
    assert open_sample(tmp_path, "x/a", limit=4) == b"01234"
    assert open_sample(tmp_path, "x/a", limit=0) == b"0"


def test_file_that_is_larger_than_expected_does_not_fill_memory(tmp_path: Path) -> None:
    with (tmp_path / "bomb").open("wb") as bomb:
        bomb.truncate(1 << 40)
    assert len(open_sample(tmp_path, "bomb", limit=1000)) == 1001


def test_sample_larger_than_one_read_is_whole(tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    (tmp_path / "big").write_bytes(data)
    assert open_sample(tmp_path, "big", limit=len(data)) == data


def test_missing_sample_is_not_found(tmp_path: Path) -> None:
    make(tmp_path, "a/b")
    for name in ("a/c", "x/b", "x"):
        with pytest.raises(NotFoundError, match="has no file") as caught:
            open_sample(tmp_path, name, limit=10)
        assert caught.value.sample == name


def test_sample_that_is_a_folder_a_pipe_or_a_link_out_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "secret/s", "root/a/b")
    os.mkfifo(tmp_path / "root/pipe")
    (tmp_path / "root/link").symlink_to("../secret/s")
    (tmp_path / "root/folder").symlink_to("../secret")
    for name in ("a", "pipe", "link", "folder/s"):
        with pytest.raises(InputError):
            open_sample(tmp_path / "root", name, limit=10)


def test_folder_swapped_for_a_link_while_samples_are_read(tmp_path: Path) -> None:
    make(tmp_path, "secret/b", "root/x/b", "root/y/b")
    with FolderFiles([tmp_path / "root"]) as files:
        assert files.read("y/b", limit=10) == b"root/y/b"
        (tmp_path / "root/x").rename(tmp_path / "moved")
        (tmp_path / "root/x").symlink_to("../secret")
        with pytest.raises(InputError, match="leaves the folder"):
            files.read("x/b", limit=10)
        assert files.read("y/b", limit=10) == b"root/y/b"


def test_a_folder_replaced_since_it_was_opened_is_opened_again(tmp_path: Path) -> None:
    make(tmp_path, "x/a", "y/b")
    with FolderFiles([tmp_path]) as files:
        files.read("x/a", limit=10)
        (tmp_path / "x").rename(tmp_path / "old")
        (tmp_path / "y").rename(tmp_path / "x")
        assert files.read("x/b", limit=10) == b"y/b"


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_a_hiccup_of_the_file_server_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    make(tmp_path, "x/a")
    failures = [OSError(number, "server"), OSError(number, "server")]
    waited: list[float] = []

    def read(*arguments: int) -> bytes:
        if failures:
            raise failures.pop()
        return original(*arguments)

    original = os.read
    monkeypatch.setattr(os, "read", read)
    monkeypatch.setattr("time.sleep", waited.append)
    with FolderFiles([tmp_path]) as files:
        assert files.read("x/a", limit=10) == b"x/a"
        assert len(waited) == 2
        failures.extend([OSError(number, "server")] * 9)
        with pytest.raises(StorageError, match="x/a"):
            files.read("x/a", limit=10)


def test_samples_of_several_paths_are_found_by_their_first_segment(tmp_path: Path) -> None:
    make(tmp_path, "x/train/cat/1", "y/test/2", "z/extra.txt")
    paths = [tmp_path / "x/train", tmp_path / "y/test", tmp_path / "z/extra.txt"]
    with FolderFiles(paths) as files:
        for name in ids_of(read_folder(paths, NO_LABEL)):
            assert files.read(name, limit=99).decode().endswith(name)
        for name in ("train", "cat/1", "extra.txt/1", "x"):
            with pytest.raises(NotFoundError):
                files.read(name, limit=99)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_open_folders_do_not_pile_up(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number}/a/b" for number in range(30)))
    before = open_descriptors()
    with FolderFiles([tmp_path]) as files:
        for number in range(30):
            files.read(f"{number}/a/b", limit=99)
            with pytest.raises(NotFoundError):
                files.read(f"{number}/missing/b", limit=99)
            assert open_descriptors() <= before + 4
    list_samples([tmp_path])
    assert open_descriptors() == before


@pytest.mark.parametrize("name", ["line\nbreak.txt", "caf\udce9.txt", "a\\b.txt"])
@pytest.mark.parametrize("folder", ["cat/", "cat/d\x1b/", ""])
def test_name_that_cannot_be_an_id_is_refused_by_name_or_left_out(
    tmp_path: Path, name: str, folder: str
) -> None:
    good = tmp_path / "cat/good.jpg"
    good.parent.mkdir()
    good.write_bytes(b"1")
    bad = tmp_path / (folder + name)
    bad.parent.mkdir(exist_ok=True)
    bad.write_bytes(b"2")
    with pytest.raises(InputError) as caught:
        read_folder([tmp_path], FolderOptions())
    assert "--exclude" in caught.value.hint
    first = (folder or name).split("/")[-2 if folder else 0].replace("\x1b", "?")
    left_out = name[:3] + "*" if folder != "cat/d\x1b/" else f"{first}/"
    options = FolderOptions(exclude=(left_out.replace("\\", "?"),))
    found = read_folder([tmp_path], options)
    assert found.table["id"].to_pylist() == ["cat/good.jpg"]
    assert found.reading["left_out"] == {"filtered": 1}
