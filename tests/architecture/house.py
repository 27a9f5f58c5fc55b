"""A package's modules as the rules of `test_imports.py` see them: read, never imported."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Module:
    """One source file of provreg.

    `name` is without the package's own: `core.encoding`, and empty for `provreg/__init__.py`.
    `inside` are the modules of the package it imports, by name; `outside` is all else it imports,
    in full (`pyarrow.compute`, `time.time`).
    """

    name: str
    source: str
    tree: ast.Module
    inside: tuple[str, ...]
    outside: tuple[str, ...]

    def calls(self) -> Iterator[str]:
        """What is called, as written as far as it is a name: `open`, `sys.exit`, `.now`."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Call(func=ast.Name(id=name)):
                    yield name
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)):
                    yield f"{owner}.{name}"
                case ast.Call(func=ast.Attribute(attr=name)):
                    yield f".{name}"


House = Mapping[str, Module]


def read_house(package: Path) -> House:
    """The modules of `package`, a folder, by name."""
    paths = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    house = {}
    for name, path in sorted(paths.items()):
        source = path.read_text("utf-8")
        tree = ast.parse(source)
        named = list(_imports(tree, name, is_package=path.name == "__init__.py"))
        inside = {_known(target, paths.keys()) for top, target in named if top == "provreg"}
        outside = {f"{top}.{target}".rstrip(".") for top, target in named if top != "provreg"}
        house[name] = Module(name, source, tree, tuple(sorted(inside)), tuple(sorted(outside)))
    return house


def _imports(tree: ast.Module, importer: str, *, is_package: bool) -> Iterator[tuple[str, str]]:
    """(library, dotted name inside it) of everything `importer` imports."""
    here = ["provreg", *filter(None, importer.split("."))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + is_package] if node.level else []
            base = [*above, *filter(None, [node.module])]
            targets = [".".join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for target in targets:
            top, _, rest = target.partition(".")
            yield top, rest


def _known(target: str, names: Collection[str]) -> str:
    """The module that `target` is, or is a name in."""
    while target not in names and target:
        target = target.rpartition(".")[0]
    return target
