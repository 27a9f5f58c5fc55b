"""The checks: provreg's own, and those of other packages.

A package offers checks by entry points in the group `provreg.checks`: a `Check` under its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from provreg.core.encoding.text import printable, quoted
from provreg.errors import UsageError
from provreg.screening.api import Check
from provreg.screening.checks import (
    annotators,
    bursts,
    duplicates,
    flips,
    floods,
    mixes,
    names,
    near,
    nights,
    origins,
    relabels,
    sizes,
    texts,
    times,
)

GROUP = "provreg.checks"
# provreg's own checks, in the order of their pages.
OWN: tuple[Check, ...] = (
    duplicates.CHECK,
    times.CHECK,
    names.CHECK,
    origins.CHECK,
    relabels.CHECK,
    flips.CHECK,
    nights.CHECK,
    mixes.CHECK,
    floods.CHECK,
    sizes.CHECK,
    bursts.CHECK,
    annotators.CHECK,
    near.CHECK,
    texts.CHECK,
)


def checks(names: Sequence[str] = ()) -> list[Check]:
    """All checks, or those with these names, in a fixed order.

    Raises UsageError for an unknown name, and for a check of a package that cannot be loaded or
    has the name of another.
    """
    found = {check.name: check for check in OWN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        check = _loaded(point)
        if check.name in found:
            raise UsageError(
                f"two checks are named {quoted(check.name)}",
                hint=f"uninstall the package that offers {quoted(point.value)}",
            )
        found[check.name] = check
    unknown = [name for name in names if name not in found]
    if unknown:
        raise UsageError(
            f"there is no check {quoted(unknown[0])}", hint="checks: " + ", ".join(found)
        )
    return [check for name, check in found.items() if not names or name in names]


def _loaded(point: EntryPoint) -> Check:
    try:
        check = point.load()
    except (Exception, SystemExit) as error:  # whatever it is, it is other people's code
        raise UsageError(
            f"the check {quoted(point.name)} cannot be loaded: {type(error).__name__}:"
            f" {printable(str(error))}",
            hint="update the package that offers it, or uninstall it",
        ) from error
    if not isinstance(check, Check) or check.name != point.name:
        raise UsageError(f"{quoted(point.value)} is no check named {quoted(point.name)}")
    return check
