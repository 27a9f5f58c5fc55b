"""Readers of other packages, found by entry point (docs/contributing.md, "Readers of your own").

A package offers one under its format's name in the group `provreg.readers`. Its code runs only
where a user names the format, or a head whose data are to be read does. What it gives is checked,
the package is written into the head, and another one that offers the same name is not taken for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from provreg.core.canonical import canonical
from provreg.core.document import Fields
from provreg.core.entry import SAMPLE
from provreg.core.text import quoted
from provreg.errors import FormatError, InputError, NotFoundError, ProvregError, UsageError
from provreg.readers.reader import Found, HowToRead, Reader, SampleFiles, SampleStream, Work
from provreg.readers.table_samples import check_unique
from provreg.record import record

GROUP = "provreg.readers"
_PACKAGE, _VERSION = "package", "package_version"
_NEEDED = ("OPTIONS", "settle", "options_from_reading", "read", "files", "stream")
_MAX_NAME = 256


@record
class PluggedReader:
    """A reader of another package, whose failures and results are held to what `Reader` promises.

    What is no error of provreg becomes an InputError that names format and package.
    """

    format: str
    package: str
    version: str
    reader: Reader

    @property
    def OPTIONS(self) -> frozenset[str]:  # noqa: N802 - as in `Reader`
        """Those of the package's reader."""
        return frozenset(self.reader.OPTIONS)

    def settle(self, format_: str, how: HowToRead, before: Mapping[str, Any] | None, /) -> Any:
        """As the package's reader."""
        with self._held():
            return self.reader.settle(format_, how, None if before is None else self._own(before))

    def options_from_reading(self, reading: Mapping[str, Any], /) -> Any:
        """As the package's reader. Raises NotFoundError where `reading` names another package."""
        with self._held():
            return self.reader.options_from_reading(self._own(reading))

    def read(self, paths: Sequence[Path], format_: str, options: Any, work: Work, /) -> Found:
        """As the package's reader; the result names the package. Raises InputError for results that
        are none."""
        with self._held():
            found = self.reader.read(paths, format_, options, work)
            complaint = self._complaint(found)
        if complaint:
            raise self._wrong(complaint)
        check_unique(found.table["id"], [(quoted(self.format), found.table.num_rows)])
        named = {_PACKAGE: self.package, _VERSION: self.version}
        return replace(found, reading=found.reading | named)

    def files(self, paths: Sequence[Path], format_: str, options: Any, /) -> SampleFiles | None:
        """As the package's reader."""
        with self._held():
            return self.reader.files(paths, format_, options)

    def stream(self, paths: Sequence[Path], format_: str, options: Any, /) -> SampleStream | None:
        """As the package's reader."""
        with self._held():
            found = self.reader.stream(paths, format_, options)
        return None if found is None else self._streamed(found)

    def _streamed(self, batches: SampleStream) -> SampleStream:
        with self._held():
            yield from batches

    def _own(self, reading: Mapping[str, Any]) -> dict[str, Any]:
        """`reading` without what names the package, which must be this one."""
        package, _ = named_package(reading)
        if package != self.package:
            raise missing(self.format, package)
        return {name: said for name, said in reading.items() if name not in {_PACKAGE, _VERSION}}

    def _complaint(self, found: Any) -> str:
        if not isinstance(found, Found):
            return "gives no samples"
        if not found.table.schema.equals(SAMPLE):
            return "gives samples of another schema than core.entry.SAMPLE"
        found.table.validate(full=True)
        if not found.table.num_rows or found.table["id"].null_count:
            return "gives no samples, or some without ids"
        if found.table["content"].null_count or found.table["size"].null_count:
            return "gives samples without digests or sizes"
        if found.reading.get("reader") != self.format or {_PACKAGE, _VERSION} & set(found.reading):
            return (
                "does not name its format, and nothing of its package, in what goes into the head"
            )
        canonical(found.reading)
        sound = {name for name in found.classes if isinstance(name, str)}
        twice = len(sound) < len(found.classes)
        return "gives classes that are no texts, or one twice" if twice else ""

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            yield
        except ProvregError:
            raise
        except Exception as error:
            raise self._wrong(f"failed: {type(error).__name__}: {error}") from error

    def _wrong(self, complaint: str) -> InputError:
        return InputError(
            f"the reader {quoted(self.format)} of the package {quoted(self.package)}"
            f" {self.version} {complaint}",
            hint="report it to those who wrote the package",
        )


def plugged(format_: str) -> PluggedReader | None:
    """The reader that an installed package offers for `format_`; None where none does.

    Raises UsageError where several do, or where the one cannot be loaded or is no reader.
    """
    found = tuple(entry_points(group=GROUP, name=format_))
    if not found:
        return None
    packages = sorted({_name_of(point) for point in found})
    if len(packages) > 1:
        raise UsageError(
            f"several packages offer a reader {quoted(format_)}",
            hint="uninstall all but one of " + ", ".join(map(quoted, packages)),
        )
    point = found[0]
    named = f"the reader {quoted(format_)} of the package {quoted(packages[0])}"
    try:
        reader = point.load()
    except Exception as error:  # whatever it is, it is other people's code
        raise UsageError(
            f"{named} cannot be loaded: {type(error).__name__}: {error}",
            hint="update the package, or uninstall it",
        ) from error
    lacking = [name for name in _NEEDED if not hasattr(reader, name)]
    if lacking:
        raise UsageError(f"{named} is none: it has no {', '.join(lacking)}")
    version = "" if point.dist is None else point.dist.version
    return PluggedReader(format_, packages[0], version, reader)


def named_package(reading: Mapping[str, Any]) -> tuple[str, str]:
    """(package, version) that a head's reading names. Raises FormatError where it names none."""
    fields = Fields(reading, "head.reading")
    return fields.text(_PACKAGE, limit=_MAX_NAME), fields.text(_VERSION, limit=_MAX_NAME)


def missing(format_: str, package: str) -> NotFoundError:
    """What to raise where data need the reader of a package that is not there."""
    return NotFoundError(
        f"these data are read by the reader {quoted(format_)} of the package {quoted(package)},"
        " which is not installed",
        hint="install it, if you trust it: its code will run",
    )


def _name_of(point: EntryPoint) -> str:
    if point.dist is None:
        raise FormatError("an entry point belongs to no package")
    return point.dist.name
