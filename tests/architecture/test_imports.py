"""The house of docs/contributing/README.md, kept by reading the sources: who imports, calls what.

Every rule is a function from the modules of a package to complaints. The real package must give
none; a small made-up package that breaks the rule must give one, so that the rule is seen to work.
Imports count wherever they stand: in functions and under `if TYPE_CHECKING` too.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from house import House, read_house

PACKAGE = Path(__file__).parents[2] / "provreg"

# From the ground up; what stands on one line are siblings. `core.encoding.text` lies below the
# errors, which escape it; the empty name is `provreg/__init__.py`.
FLOORS = (
    ("version",),
    ("core.encoding.text",),
    ("errors",),
    ("executors", "_native"),
    ("core",),
    ("readers", "store", "trust", "screening"),
    ("flows",),
    ("queries",),
    ("registry",),
    ("loaders", "reports"),
    ("",),
    ("cli",),
    ("__main__",),
)
# The rooms of a package, in the same order. What is not listed in a package that is, has no place.
ROOMS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "core": (("encoding",), ("rows",), ("manifest",), ("policy", "statements"), ("changes",)),
    "readers": (
        ("api",),
        ("data_files",),
        ("files",),
        ("tables",),
        ("archives", "huggingface", "idx", "web"),
        ("labels",),
        ("plugins",),
        ("catalog",),
    ),
    "store": (("files", "layout"), ("backends",), ("registry", "private"), ("index",)),
    "flows": (
        ("session", "reading"),
        ("verify",),
        ("history", "receipts"),
        ("ingest", "index"),
        ("screen",),
        ("sign",),
    ),
    "screening": (("api", "standards"), ("statistics",), ("twins",), ("checks",), ("catalog",)),
    "cli": (("startup",), ("ui",), ("commands",), ("command_table",), ("completion",), ("app",)),
}
MOST_MODULES = 16
OWNERS = {"duckdb": "store.index", "sigstore": "trust.sigstore", "typer": "cli", "rich": "cli"}
# Whatever is not listed may reach files, the clock, chance, the network or the environment.
PURE_LIBRARIES = frozenset(
    {
        "__future__", "abc", "base64", "binascii", "bisect", "blake3", "collections", "contextlib",
        "dataclasses", "datetime", "decimal", "difflib", "enum", "fnmatch", "functools", "hashlib",
        "heapq", "html", "itertools", "json", "math", "numpy", "operator", "provreg", "pyarrow",
        "re", "rfc8785", "string", "struct", "tomllib", "types", "typing", "unicodedata", "zlib",
    }
)  # fmt: skip
# Memory alone (ADR 19), and a table that is part of the package (ADR 51).
PURE_PARTS = frozenset({"io.BytesIO", "pkgutil.get_data"})
IMPURE_PARTS = (
    "numpy.random", "pyarrow.csv", "pyarrow.dataset", "pyarrow.feather", "pyarrow.flight",
    "pyarrow.fs", "pyarrow.json", "pyarrow.parquet",
)  # fmt: skip
IMPURE_CALLS = frozenset(
    {
        "OSFile", "breakpoint", "eval", "exec", "fromfile", "input", "memmap", "memory_map", "now",
        "open", "print", "today", "tofile", "update_mmap", "utcnow",
    }
)  # fmt: skip
EMPTY_NAMES = frozenset({"common", "helper", "helpers", "misc", "util", "utils"})
MAX_LINES = 600


def floor_of(name: str) -> str | None:
    """The longest name in FLOORS that the module `name` is or lies in."""
    known = [unit for floor in FLOORS for unit in floor]
    inside = [unit for unit in known if unit and f"{name}.".startswith(f"{unit}.")]
    if not name:
        return ""
    return max(inside, key=len, default=None)


def height_of(unit: str) -> int:
    return next(height for height, floor in enumerate(FLOORS) if unit in floor)


def imports_point_downwards(house: House) -> Iterator[str]:
    for module in house.values():
        own = floor_of(module.name)
        if own is None:
            yield f"{module.name} has no place in the house"
            continue
        for target in module.inside:
            other = floor_of(target)
            if other is None or other == own:
                continue
            if height_of(other) > height_of(own):
                yield f"{module.name} imports {target or 'provreg'}, which stands above it"
            elif height_of(other) == height_of(own):
                yield f"{module.name} imports {target}, its sibling"


def rooms_keep_their_order(house: House) -> Iterator[str]:
    for package, floors in ROOMS.items():
        heights = {room: height for height, floor in enumerate(floors) for room in floor}
        for module in house.values():
            top, _, rest = module.name.partition(".")
            if top != package or not rest or floor_of(module.name) != package:
                continue
            room = rest.partition(".")[0]
            if room not in heights:
                yield f"{module.name} is in no room of {package}"
                continue
            for target in module.inside:
                other, _, below = target.partition(".")
                to = below.partition(".")[0]
                if other != package or to in {"", room} or floor_of(target) != package:
                    continue
                if heights.get(to, len(floors)) >= heights[room]:
                    yield f"{module.name} imports {target}, whose room comes later or beside"


def rooms_have_few_modules(house: House) -> Iterator[str]:
    """A folder is taken in at a glance. The commands are as many as there are commands."""
    rooms: dict[str, int] = {}
    for name in house:
        if name in ("", "__main__"):  # the package itself
            continue
        room = name.rpartition(".")[0]
        rooms[room] = rooms.get(room, 0) + 1
    for room, modules in rooms.items():
        if modules > MOST_MODULES and room != "cli.commands":
            yield f"{room} has {modules} modules, more than {MOST_MODULES}"


def imports_make_no_circle(house: House) -> Iterator[str]:
    graph = {name: set(module.inside) - {name} for name, module in house.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "circle: " + " <- ".join(error.args[1])


def libraries_have_one_owner(house: House) -> Iterator[str]:
    for module in house.values():
        for library in module.outside:
            owner = OWNERS.get(library.partition(".")[0])
            if owner is not None and not f"{module.name}.".startswith(f"{owner}."):
                yield f"{module.name} imports {library}, which only {owner} may"


def imports_are_written_out(house: House) -> Iterator[str]:
    """An import made of strings would pass by every other rule.

    Only the facade, its loaders and the table of commands may: they load one of many.
    """
    for module in house.values():
        if module.name in {"", "loaders", "cli.command_table"}:
            continue
        for call in module.calls():
            if call.rpartition(".")[2] in {"__import__", "import_module"}:
                yield f"{module.name} calls {call}"


def core_is_pure(house: House) -> Iterator[str]:
    for module in house.values():
        if floor_of(module.name) not in {"core", "core.encoding.text", "errors"}:
            continue
        for library in module.outside:
            listed = library.partition(".")[0] in PURE_LIBRARIES or library in PURE_PARTS
            if not listed or any(f"{library}.".startswith(f"{part}.") for part in IMPURE_PARTS):
                yield f"{module.name} imports {library}: core is pure"
        for call in module.calls():
            if call.rpartition(".")[2] in IMPURE_CALLS:
                yield f"{module.name} calls {call}: core is pure"


def only_the_command_line_prints_and_exits(house: House) -> Iterator[str]:
    for module in house.values():
        if floor_of(module.name) == "cli":
            continue
        for call in module.calls():
            if call in {"print", "sys.exit", "exit", "quit"}:
                yield f"{module.name} calls {call}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Raise):
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if _name(raised) == "SystemExit":
                    yield f"{module.name} raises SystemExit"


def versions_are_verified_in_one_place(house: House) -> Iterator[str]:
    """Loaders accept nothing but a VerifiedVersion: its constructor is the trust boundary."""
    for module in house.values():
        if module.name == "flows.verify.steps":
            continue
        for call in module.calls():
            if call.rpartition(".")[2] == "VerifiedVersion":
                yield f"{module.name} makes a VerifiedVersion"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.alias) and node.name == "VerifiedVersion" and node.asname:
                yield f"{module.name} renames VerifiedVersion"
            if isinstance(node, ast.ClassDef) and "VerifiedVersion" in map(_name, node.bases):
                yield f"{module.name} derives from VerifiedVersion"


def modules_are_read_in_one_sitting(house: House) -> Iterator[str]:
    for module in house.values():
        lines = module.source.count("\n")
        if lines > MAX_LINES:
            yield f"{module.name} has {lines} lines, more than {MAX_LINES}"


def modules_are_named_after_what_they_do(house: House) -> Iterator[str]:
    for name in house:
        if EMPTY_NAMES & set(name.split(".")):
            yield f"{name} says nothing about what is in it"


def _name(node: ast.expr | None) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


Rule = Callable[[House], Iterator[str]]
RULES: tuple[Rule, ...] = (
    imports_point_downwards,
    rooms_keep_their_order,
    rooms_have_few_modules,
    imports_make_no_circle,
    libraries_have_one_owner,
    imports_are_written_out,
    core_is_pure,
    only_the_command_line_prints_and_exits,
    versions_are_verified_in_one_place,
    modules_are_read_in_one_sitting,
    modules_are_named_after_what_they_do,
)
VERIFY = "from provreg.flows.verify.steps import VerifiedVersion"
SOUND = {
    "__init__.py": "import importlib\nimportlib.import_module('provreg.registry')",
    "errors.py": "Finding = 1",
    "core/manifest/__init__.py": "",
    "core/policy/counting.py": "",
    "store/index/__init__.py": "",
    "core/manifest/leaf.py": "from provreg.core.manifest.tree import A",
    "core/manifest/tree.py": "import re\nfrom provreg.errors import E\nre.compile('')",
    "store/index/index.py": "import duckdb, os\nfrom provreg.core.manifest import tree\nopen('x')",
    "trust/sigstore/verify.py": "from sigstore.verify import Verifier",
    "flows/verify/steps.py": "from provreg.store.index.index import Index\nVerifiedVersion(1)",
    "registry.py": f"{VERIFY}\nfrom provreg.flows.verify import steps",
    "loaders/arrow.py": "from provreg.registry import Registry",
    "cli/__init__.py": "def main():\n    from provreg.cli.app import run",
    "cli/app.py": "import typer, sys\nfrom provreg.cli.commands import log\nprint(1)\nsys.exit(1)",
    "cli/commands/log.py": "from rich.table import Table",
    "__main__.py": "from provreg.cli import main",
}
# What is added to the sound house, and what must be said of it.
BREACHES: tuple[tuple[Rule, str, str, str], ...] = (
    (imports_point_downwards, "core/a.py", "from provreg.store import index",
     "core.a imports store.index, which stands above it"),
    (imports_point_downwards, "core/a.py", "def f():\n    import provreg.flows.verify.steps",
     "core.a imports flows.verify.steps, which stands above it"),
    (imports_point_downwards, "errors.py", "if TYPE_CHECKING:\n    import provreg.core.manifest",
     "errors imports core.manifest, which stands above it"),
    (imports_point_downwards, "flows/a.py", "from provreg import open",
     "flows.a imports provreg, which stands above it"),
    (imports_point_downwards, "trust/a.py", "from provreg.store.index.index import Index",
     "trust.a imports store.index.index, its sibling"),
    (imports_point_downwards, "reports/a.py", "from ..loaders import arrow",
     "reports.a imports loaders.arrow, its sibling"),
    (imports_point_downwards, "plugins/a.py", "", "plugins.a has no place in the house"),
    (rooms_keep_their_order, "core/manifest/a.py", "from provreg.core.policy import counting",
     "core.manifest.a imports core.policy.counting, whose room comes later"),
    (rooms_keep_their_order, "core/a.py", "", "core.a is in no room of core"),
    (imports_make_no_circle, "core/manifest/tree.py",
     "if TYPE_CHECKING:\n    from provreg.core.manifest import leaf", "circle: "),
    (libraries_have_one_owner, "store/a.py", "import duckdb",
     "store.a imports duckdb, which only store.index may"),
    (libraries_have_one_owner, "trust/a.py", "def f():\n    from sigstore.verify import policy",
     "trust.a imports sigstore.verify.policy, which only trust.sigstore may"),
    (libraries_have_one_owner, "flows/a.py", "import typer",
     "flows.a imports typer, which only cli may"),
    (libraries_have_one_owner, "reports/a.py", "from rich import table",
     "reports.a imports rich.table, which only cli may"),
    (imports_are_written_out, "flows/a.py", "importlib.import_module('duckdb')",
     "flows.a calls importlib.import_module"),
    (core_is_pure, "core/a.py", "import os.path", "core.a imports os.path: core is pure"),
    (core_is_pure, "core/a.py", "from io import FileIO", "core.a imports io.FileIO: core is pure"),
    (core_is_pure, "core/a.py", "from time import time", "core.a imports time.time"),
    (core_is_pure, "core/a.py", "from pyarrow import parquet", "core.a imports pyarrow.parquet"),
    (core_is_pure, "core/a.py", "open('x')", "core.a calls open: core is pure"),
    (core_is_pure, "core/a.py", "datetime.now(UTC)", "core.a calls datetime.now"),
    (only_the_command_line_prints_and_exits, "flows/a.py", "print(1)", "flows.a calls print"),
    (only_the_command_line_prints_and_exits, "flows/a.py", "sys.exit(1)", "flows.a calls sys.exit"),
    (only_the_command_line_prints_and_exits, "flows/a.py", "raise SystemExit(1)",
     "flows.a raises SystemExit"),
    (versions_are_verified_in_one_place, "loaders/a.py", "VerifiedVersion(head)",
     "loaders.a makes a VerifiedVersion"),
    (versions_are_verified_in_one_place, "flows/a.py", "verify.VerifiedVersion(head)",
     "flows.a makes a VerifiedVersion"),
    (versions_are_verified_in_one_place, "flows/a.py", f"{VERIFY} as V",
     "flows.a renames VerifiedVersion"),
    (versions_are_verified_in_one_place, "flows/a.py", "class V(VerifiedVersion): ...",
     "flows.a derives from VerifiedVersion"),
    (modules_are_read_in_one_sitting, "core/a.py", "\n" * 601, "core.a has 601 lines"),
    (modules_are_named_after_what_they_do, "core/utils.py", "", "core.utils says nothing"),
)  # fmt: skip


def _built(package: Path, files: Mapping[str, str]) -> House:
    for name, source in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    return read_house(package)


@pytest.fixture(scope="module")
def house() -> House:
    return read_house(PACKAGE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_keeps_the_rule(house: House, rule: Rule) -> None:
    assert list(rule(house)) == []


@pytest.mark.parametrize(("rule", "path", "source", "complaint"), BREACHES)
def test_breach_of_a_rule_is_found(
    tmp_path: Path, rule: Rule, path: str, source: str, complaint: str
) -> None:
    complaints = list(rule(_built(tmp_path, SOUND | {path: source})))
    assert len(complaints) == 1
    assert complaints[0].startswith(complaint)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_sound_house_gives_no_complaint(tmp_path: Path, rule: Rule) -> None:
    assert list(rule(_built(tmp_path, SOUND))) == []


def test_every_rule_has_a_breach() -> None:
    assert {rule for rule, *_ in BREACHES} | {rooms_have_few_modules} == set(RULES)


def test_full_room_is_found(tmp_path: Path) -> None:
    files = {f"core/policy/a{number}.py": "" for number in range(MOST_MODULES)}
    (complaint,) = rooms_have_few_modules(_built(tmp_path, SOUND | files))
    assert complaint == f"core.policy has {MOST_MODULES + 1} modules, more than {MOST_MODULES}"


def test_house_is_read_whole(house: House) -> None:
    """A rule over a house that was not found would pass."""
    assert {"", "errors", "core.manifest.tree", "core.manifest.leaf"} <= house.keys()
    assert "core.encoding.digest" in house["core.manifest.tree"].inside
