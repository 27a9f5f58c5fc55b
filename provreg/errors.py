"""Every failure provreg expects. Anything else that escapes is a bug.

Each class carries the exit code of the command line, so that a library user and a shell user
tell the same failures apart (docs/cli.md, "Exit codes").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from provreg.core.finding import Finding


class ProvregError(Exception):
    """Base of all expected failures.

    `message` says what happened and to which sample, `hint` what to do about it. Instances survive
    pickling, so that loader workers can raise them into the parent process.
    """

    exit_code: ClassVar[int] = 2
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", sample: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.sample = sample


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

    def __init__(
        self,
        message: str,
        *,
        step: int = 0,
        hint: str = "",
        sample: str | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, sample=sample)
        self.step = step
        self.findings = findings


class SampleError(NotTrustedError):
    """One sample's bytes are not the signed ones (step 12).

    `expected` and `found` are written digests (`found` is None where the sample is missing);
    `source` and `labeler` are who answers for the sample by the signed manifest.
    """

    kind = "sample"

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
        super().__init__(message, step=12, hint=hint, sample=sample)
        self.expected = expected
        self.found = found
        self.source = source
        self.labeler = labeler


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
