"""What the project's texts refer to exists, and none of them names a package registry's host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
# Put together here, for this file is searched too.
HOSTS = tuple(
    ".".join(labels)
    for labels in (
        ("pypi", "org"), ("pypi", "python", "org"), ("python" "hosted", "org"), ("anaconda", "org"),
        ("anaconda", "com"), ("npmjs", "org"), ("npmjs", "com"), ("crates", "io"),
    )
)  # fmt: skip
SHOWN_FOLDERS = frozenset({".ci", ".github"})
MADE_FOLDERS = frozenset({"__pycache__", "build", "dist", "node_modules"})

_FENCED = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(
    r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*<?(\S+?)>?$", re.MULTILINE
)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")
_NAMED = re.compile(r"\bdocs/[\w./-]*\w\.md\b(?:,\s+\"([^\"]+)\")?")
_COMMENT_BREAK = re.compile(r"\s*\n\s*(?:#\s*)?")


def files_of(root: Path) -> Iterator[Path]:
    """The project's own files: not hidden, not made by a tool, in no virtual environment."""
    for path in sorted(root.iterdir()):
        if path.is_file():
            yield path
        elif path.name.startswith(".") and path.name not in SHOWN_FOLDERS:
            continue
        elif path.name not in MADE_FOLDERS and not (path / "pyvenv.cfg").exists():
            yield from files_of(path)


def registry_hosts(root: Path) -> Iterator[str]:
    for path in files_of(root):
        text = path.read_bytes().decode("utf-8", "replace").lower()
        for host in HOSTS:
            if host in text:
                yield f"{path.relative_to(root)} names {host}"


def dead_links(root: Path) -> Iterator[str]:
    """Links between Markdown files, to a file or to a heading in one, that lead nowhere."""
    for path in files_of(root):
        if path.suffix != ".md":
            continue
        text = _CODE.sub("", _FENCED.sub("", path.read_text("utf-8")))
        for match in _LINK.finditer(text):
            link = match[1] or match[2]
            if re.match(r"[a-z][a-z0-9+.-]*:", link):
                continue
            file, _, anchor = unquote(link).partition("#")
            target = path.parent / file if file else path
            if not target.exists():
                yield f"{path.relative_to(root)} links to {link}, which is not there"
            elif anchor and target.suffix == ".md" and anchor not in anchors_of(target):
                yield f"{path.relative_to(root)} links to {link}, which has no such heading"


def anchors_of(path: Path) -> set[str]:
    """The anchors of a Markdown file's headings, made as hosts of Markdown make them."""
    text = _FENCED.sub("", path.read_text("utf-8"))
    anchors = set(_ANCHOR.findall(text))
    for heading in headings_of(text):
        base = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        repeats = (f"{base}-{number}" for number in range(1, 100))
        anchors.add(base if base not in anchors else next(a for a in repeats if a not in anchors))
    return anchors


def headings_of(text: str) -> list[str]:
    return [heading.replace("`", "") for heading in _HEADING.findall(text)]


def dead_references(root: Path) -> Iterator[str]:
    """Documents and their headings that sources name (`docs/x.md, "Heading"`) and that are not."""
    for path in files_of(root):
        if path.suffix != ".py" or path == Path(__file__):
            continue
        text = _COMMENT_BREAK.sub(" ", path.read_text("utf-8"))
        for match in _NAMED.finditer(text):
            document = root / match[0].partition(",")[0]
            if not document.is_file():
                yield f"{path.relative_to(root)} names {match[0]}, which is not there"
            elif match[1] and match[1] not in headings_of(document.read_text("utf-8")):
                yield f"{path.relative_to(root)} names {match[0]}, which has no such heading"


def test_no_file_names_a_package_registry() -> None:
    assert list(registry_hosts(ROOT)) == []


def test_documents_have_no_dead_links() -> None:
    assert list(dead_links(ROOT)) == []


def test_sources_name_documents_that_exist() -> None:
    assert list(dead_references(ROOT)) == []


def test_registry_host_is_found(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "lock").write_text(f"--index-url https://{HOSTS[0]}/simple", "utf-8")
    assert list(registry_hosts(tmp_path)) == [f".ci/lock names {HOSTS[0]}"]


def test_environments_and_hidden_folders_are_not_the_projects(tmp_path: Path) -> None:
    for folder in ("env", ".cache", "build"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "METADATA").write_text(HOSTS[0], "utf-8")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    assert list(registry_hosts(tmp_path)) == []


def test_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# Two words\n[b](b.md) [b](b.md#one-more) [own](#two-words) [out](https://example.org/x)\n"
        "`[code](nowhere.md)` [gone](c.md) [none](b.md#two) [folder](.)\n\n[reference]: d.md\n"
        "```\n[fenced](nowhere.md)\n```\n",
        "utf-8",
    )
    (tmp_path / "b.md").write_text("# One: `more`!\n", "utf-8")
    assert list(dead_links(tmp_path)) == [
        "a.md links to c.md, which is not there",
        "a.md links to b.md#two, which has no such heading",
        "a.md links to d.md, which is not there",
    ]


def test_dead_reference_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Cuts\n", "utf-8")
    (tmp_path / "a.py").write_text(
        '"""One (docs/a.md, "Cuts"), two (docs/a.md,\n"Tree")."""\n# docs/b.md\n', "utf-8"
    )
    assert list(dead_references(tmp_path)) == [
        'a.py names docs/a.md, "Tree", which has no such heading',
        "a.py names docs/b.md, which is not there",
    ]
