"""Every failure provreg expects. Anything else that escapes is a bug.

Each class carries the exit code of the command line, so that a library user and a shell user
tell the same failures apart (docs/cli.md, "Exit codes").
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from provreg.core.finding import Finding


# The note by which an error crosses over where only its class and text do (`carry`).
_CARRIED = re.compile(r"^\[provreg error\] (\{.*\})$\n?", re.MULTILINE)


class ProvregError(Exception):
    """Base of all expected failures.

    `message` says what happened and to which sample, `hint` what to do about it. Instances survive
    pickling, so that loader workers can raise them into the parent process, and after `carry` also
    being made again from the formatted text alone, as PyTorch's DataLoader does.
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
        carried = _CARRIED.search(message)
        if carried is not None:
            with suppress(ValueError):
                told = json.loads(carried[1])
                facts |= {name: told[name] for name in facts if name in told}
            self.add_note(_CARRIED.sub("", message))
        super().__init__(facts["message"])
        vars(self).update(facts)

    def tell_more(self, message: str, hint: str) -> None:
        """Adds to the message, and puts `hint` before what there is to do otherwise."""
        self.message = f"{self.message}; {message}"
        self.hint = f"{hint} ({self.hint})" if self.hint else hint
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
    """Verification refused; `step` is the number in docs/verification.md (1 to 12)."""

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
    """More URLs of a list gave nothing than may; `findings` has each with its reason."""

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
