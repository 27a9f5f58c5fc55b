"""provreg.readers.plugins: readers of packages that are really installed, good ones and others."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lines_package import LINES, OF_LINES, Install, lines_file

from provreg.core.manifest.head import samples_are_files
from provreg.errors import FormatError, InputError, NotFoundError, NotTrustedError, UsageError
from provreg.readers.api import SampleKind
from provreg.readers.catalog import reader_of, recorded_reader, sample_kind

if TYPE_CHECKING:
    from tests.conftest import Bench

# A reader whose samples are files: those of the folder, with both digests.
FILES = """
import hashlib
import pyarrow as pa
from blake3 import blake3
from provreg.core.manifest.entry import SAMPLE
from provreg.readers.api import ReadResult, SampleKind

OPTIONS = frozenset()
SAMPLES = SampleKind.FILES

def settle(format_, options, before):
    return None

def options_from_reading(reading):
    assert reading == {"reader": "lines"}, reading

def _paths(paths):
    return sorted(file for folder in paths for file in folder.iterdir() if file.suffix == ".bin")

def read(paths, format_, options, context):
    data = {file.name: file.read_bytes() for file in _paths(paths)}
    columns = {
        "id": list(data),
        "content": [blake3(payload).digest() for payload in data.values()],
        "content_sha256": [hashlib.sha256(payload).digest() for payload in data.values()],
        "size": [len(payload) for payload in data.values()],
    }
    table = pa.table(
        [pa.array(columns.get(field.name, [None] * len(data)), field.type) for field in SAMPLE],
        schema=SAMPLE,
    )
    return ReadResult(table, {"reader": "lines"}, False, False)

class _Files:
    def __init__(self, paths):
        self.files = {file.name: file for file in _paths(paths)}
    def read(self, sample, *, limit):
        return self.files[sample].read_bytes()
    def close(self):
        pass

def files(paths, format_, options):
    return _Files(paths)

def stream(paths, format_, options, context):
    return None

def listed_files(paths, format_, label):
    return set(_paths(paths))
"""


def test_a_reader_of_another_package_reads_verifies_loads_and_is_named(
    bench: Bench, install: Install
) -> None:
    import provreg

    install()
    path = lines_file(bench)
    head = bench.ingest(path, options=OF_LINES).head
    assert head is not None
    assert head.reading == {
        "reader": "lines", "label": "none", "package": "provreg-lines", "package_version": "1.2",
    }  # fmt: skip
    bench.open().verify("pets", data=[path])
    key, place = bench.key_file(), bench.registry
    handed = provreg.load("pets", data=path, key=key, registry=place)
    assert {sample.id: sample.payload for sample in handed} == {"a": b"one", "b": b"two"}
    assert bench.ingest(path, options=OF_LINES).head is None
    with pytest.raises(NotTrustedError):
        bench.open().verify("pets", data=[lines_file(bench, "a one\nb poison\n")])


def test_who_lacks_the_package_is_told_its_name(bench: Bench, install: Install) -> None:
    with pytest.MonkeyPatch.context() as patch:
        site = bench.folder / "site/provreg-lines"
        install()
        bench.ingest(lines_file(bench), options=OF_LINES)
        patch.setattr("sys.path", [entry for entry in __import__("sys").path if entry != str(site)])
        with pytest.raises(NotFoundError, match="'provreg-lines', which is not installed"):
            bench.open().verify("pets", data=[lines_file(bench)])


def test_another_package_of_the_same_format_is_not_taken_for_it(
    bench: Bench, install: Install
) -> None:
    install(package="evil-lines")
    reading = {
        "reader": "lines",
        "label": "none",
        "package": "provreg-lines",
        "package_version": "1",
    }
    reader, _ = recorded_reader(reading)
    with pytest.raises(NotFoundError, match="provreg-lines"):
        reader.options_from_reading(reading)
    install()
    with pytest.raises(UsageError, match="several packages"):
        reader_of("lines")


def test_a_format_of_provreg_cannot_be_taken_over(install: Install, tmp_path: Path) -> None:
    from provreg.readers.files import folder

    install()
    place = tmp_path / "site/provreg-lines/provreg_lines-1.2.dist-info/entry_points.txt"
    place.write_text("[provreg.readers]\nfolder = provreg_lines\n")
    importlib.invalidate_caches()
    assert reader_of("folder") is folder


@pytest.mark.parametrize(
    ("code", "entry", "says"),
    [
        ("raise RuntimeError('no')", "", "cannot be loaded: RuntimeError: no"),
        (LINES, "provreg_lines:nothing", "cannot be loaded: AttributeError"),
        (LINES, "no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("OPTIONS = frozenset()", "", "it lacks settle, options_from_reading"),
    ],
)
def test_a_reader_that_cannot_be_loaded_is_one_clear_error(
    install: Install, code: str, entry: str, says: str
) -> None:
    install(code, entry=entry)
    with pytest.raises(UsageError, match="'lines' of the package 'provreg-lines'") as caught:
        reader_of("lines")
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    table = pa", "    1 / 0; table = pa", "failed: ZeroDivisionError"),
        ("return ReadResult(table,", "return (table,", "returns no samples"),
        ("[len(text) for _, text in rows]", "[None for _ in rows]", "digests or sizes"),
        ("ReadResult(table,", "ReadResult(table.select(['id']),", "another schema"),
        ("False, False)", "False, False, findings=('x',))", "something else than findings"),
        ("False, False)", "False, False, classes='ab')", "something else than classes"),
        ("False, False)", "False, None)", "something else than splits_known"),
        ("    table = pa", "    raise SystemExit(0); table = pa", "failed: SystemExit"),
        ('"reader": "lines"', '"reader": "zip"', "does not name its format"),
        ('"label": options}', '"package": "x"}', "does not name its format"),
        ('"label": options}', '"label": 1.5e400}', "canonical JSON"),
        ("[key.decode() for key, _ in rows]", "['a' for _ in rows]", "is duplicated"),
        ("[key.decode() for key, _ in rows]", "[None for _ in rows]", "without ids"),
    ],
)  # fmt: skip
def test_a_reader_that_breaks_its_promise_publishes_nothing(
    bench: Bench, install: Install, old: str, new: str, says: str
) -> None:
    assert old in LINES
    install(LINES.replace(old, new, 1))
    with pytest.raises((InputError, FormatError)) as caught:
        bench.ingest(lines_file(bench), options=OF_LINES)
    assert says in caught.value.message
    assert not [name for name in bench.files() if "/versions/" in name]


def test_a_format_that_nobody_reads(bench: Bench) -> None:
    with pytest.raises(UsageError, match="is not a format of provreg"):
        reader_of("lines")
    for reading in ({}, {"reader": 5}, {"reader": "lines"}, {"reader": "lines", "package": 5}):
        unknown: dict[str, Any] = reading
        with pytest.raises(FormatError):
            recorded_reader(unknown)


def blobs(bench: Bench) -> Path:
    folder = bench.folder / "blobs"
    folder.mkdir()
    for name in ("a.bin", "b.bin"):
        (folder / name).write_text(name)
    return folder


def oms(bench: Bench) -> bytes:
    opened = bench.open()
    return opened.export_oms(opened.verify("pets"), bench.signers["alice"])


def test_a_reader_whose_samples_are_files_has_what_folders_have(
    bench: Bench, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    import provreg

    install(FILES)
    folder = blobs(bench)
    head = bench.ingest(folder, options=OF_LINES).head
    assert head is not None
    assert head.reading == {
        "reader": "lines", "samples": "files", "package": "provreg-lines", "package_version": "1.2",
    }  # fmt: skip
    samples = provreg.load("pets", data=folder, key=bench.key_file(), registry=bench.registry)
    assert {sample.id: sample.payload for sample in samples} == {
        "a.bin": b"a.bin", "b.bin": b"b.bin"
    }  # fmt: skip
    assert b"a.bin" in base64.b64decode(json.loads(oms(bench))["dsseEnvelope"]["payload"])
    (folder / "notes.md").write_text("x")
    with pytest.raises(NotTrustedError, match="1 stranger"):
        bench.open().verify("pets", data=[folder])
    # The head records what the samples are: nothing of this needs the package.
    site = str(bench.folder / "site/provreg-lines")
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry != site])
    importlib.invalidate_caches()
    assert sample_kind(head.reading) is SampleKind.FILES
    assert oms(bench)
    (folder / "notes.md").unlink()
    with pytest.raises(NotFoundError, match="not installed"):
        bench.open().verify("pets", data=[folder])


def test_a_reader_that_does_not_say_so_has_no_files(bench: Bench, install: Install) -> None:
    install(FILES.replace("SAMPLES = SampleKind.FILES\n", ""))
    head = bench.ingest(blobs(bench), options=OF_LINES).head
    assert head is not None
    assert "samples" not in head.reading
    with pytest.raises(UsageError, match="OMS signs files"):
        oms(bench)


def test_ids_of_files_are_paths_with_a_package_too(bench: Bench, install: Install) -> None:
    install(FILES.replace('"id": list(data)', '"id": ["../" + name for name in data]'))
    with pytest.raises(InputError, match="is not a path below"):
        bench.ingest(blobs(bench), options=OF_LINES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return set(_paths(paths))", "return ['a.bin']", "lists files that are not a set"),
        ("return set(_paths(paths))", "return {'a.bin'}", "lists files that are not a set"),
        ("return set(_paths(paths))", "return 1 / 0", "failed: ZeroDivisionError"),
        ('"lines"}, False', '"lines", "samples": "files"}, False', "does not name"),
        ('"lines"}, False', '"lines", "left_out": {"x": "y"}}, False', "left_out"),
        ("SAMPLES = SampleKind.FILES", "SAMPLES = 'pictures'", "unknown kind of samples"),
        ("SAMPLES = SampleKind.FILES", "SAMPLES = []", "unknown kind of samples"),
    ],
)
def test_a_reader_with_wrong_capabilities_publishes_nothing(
    bench: Bench, install: Install, old: str, new: str, message: str
) -> None:
    assert old in FILES
    install(FILES.replace(old, new, 1))
    with pytest.raises((InputError, UsageError, FormatError)) as caught:
        bench.ingest(blobs(bench), options=OF_LINES)
    assert message in caught.value.message
    assert not [name for name in bench.files() if "/versions/" in name]


@pytest.mark.parametrize("samples", ["pictures", 1, None, [], {}])
def test_an_unknown_kind_in_a_head_is_no_kind(samples: object) -> None:
    assert sample_kind({"reader": "lines", "samples": samples}) is SampleKind.OTHER


def test_a_head_cannot_give_a_reader_of_provreg_another_kind() -> None:
    assert sample_kind({"reader": "csv", "samples": "files"}) is SampleKind.ROWS


@pytest.mark.parametrize(
    ("format_", "kind"),
    [("folder", "files"), ("zip", "members"), ("csv", "rows"), ("parquet", "rows"),
     ("huggingface", "rows"), ("webdataset", "other"), ("idx", "other")],
)  # fmt: skip
def test_core_and_the_readers_agree_on_what_samples_are(format_: str, kind: str) -> None:
    assert sample_kind({"reader": format_}) == kind
    assert samples_are_files({"reader": format_}) is (kind == "files")
