"""The page of messages names those that provreg has, in its words."""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guides/troubleshooting.md").read_text("utf-8")
# What happens without a message.
HAPPENS = {"In CI it waits, or asks for a passphrase.", "It takes long.", "It is killed."}


def _messages() -> list[str]:
    """What the page explains, each in its own words."""
    headings = re.findall(r"^\*\*(.+?)\*\*", PAGE, re.DOTALL | re.MULTILINE)
    return [" ".join(heading.split()) for heading in headings if heading not in HAPPENS]


def _fragments(message: str) -> Iterator[str]:
    """The fixed parts of a message, or of several: without step, names and counts."""
    for part in re.split(r"…|, there is", message):
        fixed = re.sub(r"^step \d+: ", "", part.strip(" ,.:"))
        if fixed:
            yield fixed


def _texts() -> str:
    """All texts in the sources, those of f-strings without their values, and the system's."""
    found = [os.strerror(errno.ENOSPC)]
    for path in sorted((ROOT / "provreg").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                values = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                found.append("".join(map(str, values)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_every_message_is_one_of_provregs() -> None:
    texts, messages = _texts(), _messages()
    assert len(messages) > 15
    unknown = [
        fragment
        for message in messages
        for fragment in _fragments(message)
        if fragment not in texts
    ]
    assert unknown == []
