"""Names: datasets and references to their versions (docs/concepts/terms.md, "References")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provreg.core.encoding.digest import parse_digest
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, UsageError

# No dot at the end: Windows shares drop it, and two names would be one folder.
DATASET_NAME = r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9_-])?"
_REFERENCE = re.compile(r"([^@]+)(?:@(.+))?")


def check_dataset_name(name: str) -> str:
    """`name`; UsageError unless 1 to 128 of a-z 0-9 . _ -, first a letter or digit,
    last no dot, no `..`."""
    if re.fullmatch(DATASET_NAME, name) is None or ".." in name:
        raise UsageError(
            f"{quoted(name)} is not a dataset name",
            hint="use 1 to 128 of a-z, 0-9, '.', '_', '-', beginning with a letter or a digit and"
            " not ending with '.'",
        )
    return name


@dataclass(frozen=True, slots=True)
class Reference:
    """`name`, `name@latest`, `name@3` or `name@sha256:…`.

    At most one of `version` and `head` is set; with neither, the newest version is meant.
    """

    dataset: str
    version: int | None = None
    head: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises UsageError for anything that is not a reference."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise _not_a_reference(text)
        dataset, selector = check_dataset_name(match[1]), match[2]
        if selector is None or selector == "latest":
            return cls(dataset)
        if re.fullmatch(r"[1-9][0-9]{0,7}", selector):
            return cls(dataset, version=int(selector))
        try:
            algorithm, _ = parse_digest(selector)
        except FormatError:
            raise _not_a_reference(text) from None
        if algorithm != "sha256":
            raise _not_a_reference(text)
        return cls(dataset, head=selector)

    def __str__(self) -> str:
        selector = self.head or self.version
        return self.dataset if selector is None else f"{self.dataset}@{selector}"


def _not_a_reference(text: str) -> UsageError:
    return UsageError(
        f"{quoted(text)} is not a reference",
        hint="write name, name@3, name@latest or name@sha256:…",
    )


def check_utf8(what: str, *texts: str | None) -> None:
    """UsageError where one of `texts`, which `what` names, has no bytes in UTF-8: a command line or
    a variable in another encoding, or half a surrogate pair. Nothing signed can hold it."""
    for text in texts:
        if text is not None and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise UsageError(
                    f"{what} {quoted(text)} is not UTF-8",
                    hint="write it in UTF-8, as all that is signed is",
                ) from None
