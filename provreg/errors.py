"""Every failure provreg expects, and the findings that some carry. All else that escapes is a bug.

Each class carries the exit code of the command line, so that a library user and a shell user
tell the same failures apart (docs/reference/cli.md, "Exit codes").
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


# The note by which an error crosses over where only its class and text do (`carry`).
_CARRIED = re.compile(r"^\[provreg error\] (\{.*\})$\n?", re.MULTILINE)
# How the text begins of which PyTorch's DataLoader makes an error of a worker again.
_MADE_AGAIN = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\nOriginal ")


FindingKind = Literal[
    "changed", "missing", "stranger", "moved", "relabeled", "resplit", "reattributed",
    "unreadable", "recompressed", "replaced", "gone", "unreachable", "refused",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One sample that is not as the signed manifest says, or could not be had.

    `changed`: other bytes under the id. `missing`: in the manifest only. `stranger`: in the data
    only. `moved`: a missing sample's bytes under another id. `relabeled`: bytes as signed, under
    the same or another id, with another label. `resplit`, `reattributed`: bytes as signed, which
    the data put in another split, or say another source, labeler or labeled_at of (`detail` says
    which). `unreadable`: could not be read to be checked.

    Of samples at URLs: `recompressed` and `replaced` are `changed` to other bytes of a picture
    that looks the same, or not. `gone`: the server says there is nothing. `unreachable`: it said
    nothing. `refused`: it leads where provreg does not go, or to what it does not take.

    `expected` and `found` are digests of bytes, but for `relabeled`, `resplit` and `reattributed`
    what is signed and what the data say; `found_id` is where a moved or relabeled sample stands
    now. `source` and `labeler` answer for the signed sample.
    `uri` is where it was looked for, `detail` what came of it, in words.
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
        """The fields that say something; `kind` and `id` always."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class ProvregError(Exception):
    """Base of all expected failures.

    `message` says what happened and to which sample, `hint` what to do about it. Instances survive
    pickling, so that loader workers can raise them into the parent process, and after `carry` also
    being made again from the formatted text alone, as PyTorch's DataLoader does.

    Both are one line, in which what acts on a terminal is escaped: they quote data and what other
    packages say, which could write the lines of another error otherwise.
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
        if _MADE_AGAIN.match(message):
            facts |= self._carried(message, facts)
            self.add_note(_CARRIED.sub("", message))
        facts |= {name: printable(facts[name]) for name in ("message", "hint")}
        super().__init__(facts["message"])
        vars(self).update(facts)

    def _carried(self, text: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The `facts` as the worker's own error carried them, the last line behind its message.

        What stands before it, causes by other packages, can hold any line. An error that carried
        nothing has its message alone.
        """
        _, name, behind = text.rpartition(f"\n{type(self).__module__}.{type(self).__qualname__}: ")
        if not name:
            return {}
        with suppress(IndexError, ValueError):
            told = json.loads(_CARRIED.findall(behind)[-1])
            return {fact: told[fact] for fact in facts if fact in told}
        return {"message": behind.partition("\n")[0]}

    def tell_more(self, message: str, hint: str) -> None:
        """Adds to the message, and puts `hint` before what there is to do otherwise."""
        self.message = printable(f"{self.message}; {message}")
        self.hint = printable(f"{hint} ({self.hint})" if self.hint else hint)
        self.args = (self.message,)

    def carry(self) -> None:
        """Notes all that is told of the error, for who raises its class again with its text."""
        facts = {name: fact for name, fact in vars(self).items() if isinstance(fact, str | int)}
        self.add_note(f"[provreg error] {json.dumps(facts)}")


class UsageError(ProvregError):
    """The request itself makes no sense: an option is missing, two contradict each other."""

    kind = "usage"


class InputError(ProvregError):
    """Data from outside that cannot be taken in; `sample` names the file or row."""

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
    """A version that was as signed, and that somebody who may do so has revoked (step 8)."""

    kind = "revoked"


class SampleError(NotTrustedError):
    """One sample's bytes are not the signed ones (step 12).

    `expected` and `found` are written digests (`found` is None where the sample is missing);
    `source` and `labeler` are who answers for the sample by the signed manifest.
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
    """A registry or index that contradicts itself: an object whose bytes are not its digest."""

    exit_code = 5
    kind = "damaged"


class FormatError(DamagedError):
    """Bytes that are not the format they claim to be, or a format this version does not know."""

    kind = "format"


class StorageError(ProvregError):
    """The disk, the file server or the network failed; trying again may help."""

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
    """Around the import of a library that comes with `provreg[extra]`; raises UsageError."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"this needs {error.name or extra}, which is not installed",
            hint=f"pip install 'provreg[{extra}]'",
        ) from error
