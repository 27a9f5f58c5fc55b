"""The expected failures of provreg, and the findings in some of them. Other exceptions are bugs.

Each class has the exit code of the command line, so that users of the library and of the shell can
distinguish the same failures (docs/reference/cli.md, "Exit codes").
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from provreg.core.encoding.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# A note with all fields of an error, for when only its class and text are passed on (`carry`).
_CARRIED = re.compile(r"^\[provreg error\] (\{.*\})$\n?", re.MULTILINE)
# Before the hint in an error's notes, which tracebacks show.
_HINT = "hint: "
# The beginning of the text from which PyTorch's DataLoader recreates an error of a worker.
_RECREATED = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\nOriginal ")


FindingKind = Literal[
    "changed", "missing", "stranger", "moved", "relabeled", "resplit", "reattributed",
    "unreadable", "recompressed", "replaced", "gone", "unreachable", "refused",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """A sample that differs from the signed manifest, or could not be read.

    `changed`: other bytes under the id. `missing`: in the manifest only. `stranger`: in the data
    only. `moved`: a missing sample's bytes under another id. `relabeled`: bytes as signed, under
    the same or another id, with another label. `resplit`, `reattributed`: bytes as signed, with
    another split, or another source, labeler or labeled_at in the data (`detail` names it).
    `unreadable`: could not be read.

    For samples at URLs: `recompressed` and `replaced` are other bytes of a picture that looks the
    same, or different. `gone`: the server has it no longer. `unreachable`: the server did not
    respond. `refused`: provreg does not follow the URL, or does not accept its content.

    `expected` and `found` are digests of bytes; for `relabeled`, `resplit` and `reattributed` the
    values in the manifest and in the data. `found_id` is the present id of a moved or relabeled
    sample. `source` and `labeler` are those of the signed sample. `uri` is its URL, `detail` the
    result in words.
    """

    kind: FindingKind
    id: str
    expected: str | None = None
    found: str | None = None
    found_id: str | None = None
    source: str | None = None
    labeler: str | None = None
    uri: str | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that are set."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class ProvregError(Exception):
    """Base of all expected failures.

    `message` says what happened to which sample, `hint` what to do. Instances can be pickled, so
    that loader workers can raise them in the parent process. After `carry` they can also be
    recreated from the formatted text alone, as PyTorch's DataLoader does.

    Both are one line with escaped control characters: they quote data and other packages, which
    could otherwise forge further lines. The hint is a note of the exception, so that a traceback
    shows it.
    """

    exit_code: ClassVar[int] = 2
    kind: ClassVar[str] = "error"
    message: str
    hint: str
    sample: str | None

    def __init__(
        self, message: str, *, hint: str = "", sample: str | None = None, **more: Any
    ) -> None:
        facts: dict[str, Any] = {"message": message, "hint": hint, "sample": sample, **more}
        if _RECREATED.match(message):
            facts |= self._carried(message, facts)
            self.add_note(_CARRIED.sub("", message))
        facts |= {name: printable(facts[name]) for name in ("message", "hint")}
        super().__init__(facts["message"])
        vars(self).update(facts)
        self._note_hint()

    def _note_hint(self) -> None:
        notes: list[str] = getattr(self, "__notes__", [])
        notes = [note for note in notes if not note.startswith(_HINT)]
        if self.hint:
            notes.append(f"{_HINT}{self.hint}")
        if notes:
            self.__notes__ = notes

    def _carried(self, text: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The `facts` that the worker's error carried, in the last line after its message.

        The text before can have any lines, from causes by other packages. Without carried facts
        there is only the message.
        """
        _, name, behind = text.rpartition(f"\n{type(self).__module__}.{type(self).__qualname__}: ")
        if not name:
            return {}
        with suppress(IndexError, ValueError):
            carried = json.loads(_CARRIED.findall(behind)[-1])
            return {fact: carried[fact] for fact in facts if fact in carried}
        return {"message": behind.partition("\n")[0]}

    def tell_more(self, message: str, hint: str) -> None:
        """Appends to the message, and puts `hint` before the present hint."""
        self.message = printable(f"{self.message}; {message}")
        self.hint = printable(f"{hint} ({self.hint})" if self.hint else hint)
        self.args = (self.message,)
        self._note_hint()

    def carry(self) -> None:
        """Adds a note with all fields, from which the error can be recreated."""
        facts = {name: fact for name, fact in vars(self).items() if isinstance(fact, str | int)}
        self.add_note(f"[provreg error] {json.dumps(facts)}")


class UsageError(ProvregError):
    """An invalid request: a missing option, or options that contradict each other."""

    kind = "usage"


class NotInstalledError(UsageError, AttributeError):
    """A library of an extra that is not installed.

    For Python a loader without its framework is an attribute that is missing: `hasattr`, `help`
    and tab completion go on.
    """


class InputError(ProvregError):
    """Data that cannot be ingested; `sample` names the file or row."""

    kind = "input"


class NotFoundError(ProvregError):
    """A registry, dataset, version, sample or file that does not exist."""

    exit_code = 3
    kind = "not-found"


class NotTrustedError(ProvregError):
    """Verification refused; `step` is the number in docs/concepts/verification.md (1 to 12)."""

    exit_code = 4
    kind = "not-trusted"
    step: int
    findings: tuple[Finding, ...]

    def __init__(
        self,
        message: str,
        *,
        step: int = 0,
        hint: str = "",
        sample: str | None = None,
        findings: tuple[Finding, ...] = (),
        **more: Any,
    ) -> None:
        super().__init__(message, hint=hint, sample=sample, step=step, findings=findings, **more)


class RevokedError(NotTrustedError):
    """A version that verifies, but was revoked by a principal of a revoke rule (step 8)."""

    kind = "revoked"


class SampleError(NotTrustedError):
    """A sample's bytes differ from the signed ones (step 12).

    `expected` and `found` are written digests (`found` is None if the sample is missing); `source`
    and `labeler` are those in the signed manifest.
    """

    kind = "sample"
    expected: str
    found: str | None
    source: str
    labeler: str | None

    def __init__(
        self,
        message: str,
        *,
        sample: str = "",
        expected: str = "",
        found: str | None = None,
        source: str = "",
        labeler: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(
            message, step=12, hint=hint, sample=sample,
            expected=expected, found=found, source=source, labeler=labeler,
        )  # fmt: skip


class DamagedError(ProvregError):
    """An inconsistent registry or index, such as an object that does not match its digest."""

    exit_code = 5
    kind = "damaged"


class FormatError(DamagedError):
    """Malformed bytes, or a format that this version of provreg does not support."""

    kind = "format"


class StorageError(ProvregError):
    """A failure of the disk, the file server or the network; a retry may help."""

    exit_code = 6
    kind = "storage"


class NotFetchedError(StorageError):
    """More URLs of a list failed than allowed; `findings` has each with its reason."""

    findings: tuple[Finding, ...]

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        sample: str | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, sample=sample, findings=findings)


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """For imports of libraries of `provreg[extra]`; raises NotInstalledError without them."""
    try:
        yield
    except ImportError as error:
        raise NotInstalledError(
            f"this needs {error.name or extra}, which is not installed",
            hint=f"pip install 'provreg[{extra}]'",
        ) from error
