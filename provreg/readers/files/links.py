"""Symbolic links in a folder of samples: where they may lead."""

from __future__ import annotations

import os
import stat

from provreg.core.encoding.text import quoted
from provreg.errors import InputError


def resolve(root: str, link: str, sample: str) -> tuple[str, bool]:
    """(path relative to `root`, whether it is a folder) of what the link at `link` stands for.

    `root` is a path without links in it. The answer holds for the moment only: read what is there
    without following links (`files.safe_open`). Raises InputError, naming `sample`, for a link
    that dangles, leaves `root`, leads to a folder it lies in, or to neither folder nor file.
    """
    try:
        target = os.path.realpath(link, strict=True)
        mode = os.lstat(target).st_mode
    except OSError:
        raise InputError(f"{quoted(sample)} is a link to nothing", sample=sample) from None
    if f"{os.path.realpath(os.path.dirname(link))}/".startswith(f"{target}/"):  # noqa: PTH120
        raise InputError(f"{quoted(sample)} is a link to a folder it lies in", sample=sample)
    if not target.startswith(f"{root}/"):
        raise InputError(
            f"{quoted(sample)} is a link that leaves the folder, to {quoted(target)}",
            hint="copy the file in, or leave the link out with --exclude",
            sample=sample,
        )
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise InputError(f"{quoted(sample)} is not a regular file", sample=sample)
    return target[len(root) + 1 :], stat.S_ISDIR(mode)
