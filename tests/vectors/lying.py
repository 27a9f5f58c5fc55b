"""What lies in the data and is no sample: left out, adopted, or a stranger (step 12)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from case import Case
from forge import FOLDER, PETS, Forge, Kept, pets, table

from provreg.core.changes.origin import OriginDefaults, assign_origin
from provreg.core.encoding.digest import blake3_digest
from provreg.flows.reading.samples import read_new
from provreg.readers.api import ReadOptions

Findings = tuple[tuple[str, str], ...]

# (name, what is shown, of the reading, what lies in the folder beside the pets, what is found)
FILES: tuple[tuple[str, str, dict[str, Any], Mapping[str, str], Findings], ...] = (
    ("good-data-left-out",
     "What patterns, hidden names and desktops leave out is no stranger; `old/` takes a folder.",
     {"exclude": ["*.md", "old/", "raw/**"], "left_out": {"hidden": 1, "empty": 1}},
     {"cat/notes.md": "x", "old/cat/9.jpg": "x", "raw/cat/9.jpg": "x", "cat/.evil.png": "x",
      "cat/Thumbs.db": "x", ".git/x.jpg": "x"}, ()),
    ("good-data-hidden", "What is hidden and not called like data is left out in any case.", {},
     {".gitignore": "x", "cat/.note": "x", ".git/config": "x"}, ()),
    ("data-hidden-picture", "A hidden file that is called like data is found.", {},
     {"cat/.evil.png": "x"}, (("stranger", "cat/.evil.png"),)),
    ("data-hidden-folder", "A file in a hidden folder that is called like data is found.",
     {"left_out": {"filtered": 1, "system": 1}}, {"cat/.h/i/evil.Jpeg": "x"},
     (("stranger", "cat/.h/i/evil.Jpeg"),)),
    ("data-excluded-folder", "A pattern of files takes no folder of its name.",
     {"exclude": ["notes.md"]}, {"cat/notes.md/evil.jpg": "x"}, (("stranger", "cat/notes.md"),)),
    ("data-excluded-file", "A pattern of folders takes no file of its name.",
     {"exclude": ["old/"]}, {"cat/old": "x"}, (("stranger", "cat/old"),)),
    ("data-system-in-lower-case", "Names that desktops leave behind differ in case.", {},
     {"cat/thumbs.db": "x"}, (("stranger", "cat/thumbs.db"),)),
    ("data-empty-folder", "A folder without samples beside the classes is found.", {},
     {"ape/.note": "x"}, (("stranger", "ape/"),)),
    ("good-data-empty-folder", "Where such a folder was left out, and beside samples, it is not.",
     {"left_out": {"empty": 1}}, {"ape/.note": "x", "cat/empty/.note": "x"}, ()),
)  # fmt: skip

SIGNED = "key,text,from,by\na,one,web,ann\nb,two,web,\n"
README = "---\nconfigs: []\n---\n"
SAID = {
    "beside": ["notes.md", "/old/"],
    "adopted": [{"path": "README.md", "content": blake3_digest(README.encode())}],
    "says": ["source", "labeler"],
}
# (name, what is shown, what lies beside the table, what is found)
BESIDE: tuple[tuple[str, str, Mapping[str, str], Findings], ...] = (
    ("good-data-beside", "What is adopted, or left out by a pattern, is no stranger.",
     {"README.md": README, "notes.md": "x", "sub/notes.md": "x", "old/b.parquet": "x",
      ".DS_Store": "x", ".note": "x"}, ()),
    ("good-data-without-readme", "A file that was adopted may be gone.", {}, ()),
    ("data-beside", "A file of another kind beside a table is found.", {"b.json": "x"},
     (("stranger", "b.json"),)),
    ("data-beside-in-a-hidden-folder", "A file in a hidden folder is not read, and found.",
     {".h/b.csv": SIGNED}, (("stranger", ".h/b.csv"),)),
    ("data-beside-excluded-folder", "A pattern of files takes no folder of its name.",
     {"notes.md/e.txt": "x"}, (("stranger", "notes.md/e.txt"),)),
    ("data-beside-excluded-elsewhere", "A pattern with a slash in front is tied to the top.",
     {"sub/old/b.parquet": "x"}, (("stranger", "sub/old/b.parquet"),)),
    ("data-adopted-changed", "A file that was adopted has the signed content.",
     {"README.md": "---\nconfigs: [{data_files: b*}]\n---\n"}, (("changed", "README.md"),)),
    ("data-adopted-elsewhere", "What was adopted is that very file.", {"sub/README.md": README},
     (("stranger", "sub/README.md"),)),
    ("data-adopted-folder", "No folder stands in the place of what was adopted.",
     {"README.md/e.txt": README}, (("stranger", "README.md/e.txt"),)),
    ("data-emptied-source", "Where the data said every source, none is another.",
     {"rows.csv": SIGNED.replace("one,web", "one,")}, (("reattributed", "a"),)),
    ("data-emptied-labeler", "Where the data said every labeler, none is another.",
     {"rows.csv": SIGNED.replace("ann", "")}, (("reattributed", "a"),)),
)  # fmt: skip


NAMED = "file_name,text\na/1.jpg,one\na/2.jpg,two\n"
PICTURES = {"a/1.jpg": "first", "a/2.jpg": "second"}
# (name, what is shown, what lies beside the table, what is found)
OF_ROWS: tuple[tuple[str, str, Mapping[str, str], Findings], ...] = (
    ("good-data-files", "Files that rows name are as signed.", PICTURES, ()),
    ("data-file-changed", "A file that a row names has other bytes.",
     PICTURES | {"a/2.jpg": "other"}, (("changed", "a/2.jpg"),)),
    ("data-file-missing", "A file that a row names is not there.", {"a/1.jpg": "first"},
     (("missing", "a/2.jpg"),)),
    ("data-file-stranger", "A file that no row names lies beside the table.",
     PICTURES | {"a/3.jpg": "third"}, (("stranger", "a/3.jpg"),)),
)  # fmt: skip


def cases(kept: Kept) -> Iterator[Case]:
    rows = table(pets())
    for name, claim, said, files, findings in FILES:
        forge = Forge(kept)
        forge.version(rows, forge.parts("pets", rows), reading=FOLDER | said)
        yield _case(name, claim, forge, PETS | files, findings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(SIGNED, "utf-8")
        how = ReadOptions(id="key", source_column="from", labeler_column="by")
        samples = read_new([path], how, None)
    entries = assign_origin(
        samples.table, None, OriginDefaults(None, None), labels_known=False, splits_known=False
    )
    rows = pa.Table.from_pylist(entries.to_pylist(), schema=entries.schema)
    forge = Forge(kept)
    forge.version(rows, forge.parts("beside", rows), reading=samples.reading | SAID)
    for name, claim, files, findings in BESIDE:
        yield _case(name, claim, forge, {"rows.csv": SIGNED} | files, findings)
    yield from _cases_of_files(kept)


def _cases_of_files(kept: Kept) -> Iterator[Case]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {"metadata.csv": NAMED, **PICTURES}.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        samples = read_new([Path(folder)], ReadOptions(), None)
    entries = assign_origin(
        samples.table, None, OriginDefaults("web", None), labels_known=False, splits_known=False
    )
    rows = pa.Table.from_pylist(entries.to_pylist(), schema=entries.schema)
    forge = Forge(kept)
    forge.version(rows, forge.parts("files", rows), reading=samples.reading)
    for name, claim, files, findings in OF_ROWS:
        yield _case(name, claim, forge, {"metadata.csv": NAMED} | files, findings)


def _case(
    name: str, claim: str, forge: Forge, files: Mapping[str, str], findings: Findings
) -> Case:
    if not findings:
        return Case(name, claim, forge.files, facts=forge.facts, data=files)
    return Case(name, claim, forge.files, 12, f"1 {findings[0][0]}", data=files, findings=findings)
