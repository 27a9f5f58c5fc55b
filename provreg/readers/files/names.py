"""Which file names can be ids, and which ids would be one file on another system."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.core.manifest.limits import LIMITS, UNSAFE_IN_IDS
from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# With this many characters before it, a name of 255 bytes cannot make an id too long.
_SHORT_PREFIX = 700
# What programs take for data by its ending, wherever it lies: tables, archives, arrays, text,
# pictures, sound and films, and MNIST's files, which have none.
_DATA = re.compile(
    r".*(\.(arrow|csv|tsv|jsonl?|ndjson|parquet|feather|txt|tar|tgz|zip|npy|npz|hdf5|h5"
    r"|jpe?g|png|ppm|pgm|bmp|tiff?|webp|gif|avif|heic|jxl"
    r"|wav|mp3|flac|ogg|opus|m4a|aac|aiff?|mp4|m4v|avi|mov|mkv|webm|mpe?g)"
    r"(\.(gz|bz2|xz|zst|lz4))?|idx[0-9]+-(ubyte|byte|short|int|float|double)(\.gz)?)",
    re.IGNORECASE | re.DOTALL,
)


def is_called_like_data(name: str) -> bool:
    """Whether other programs would take a file of this name for data, though it is hidden."""
    return _DATA.fullmatch(name) is not None


def check_names(prefix: str, names: Sequence[str]) -> dict[str, str]:
    """The problem of each of `names` that cannot follow `prefix` in an id, as a sentence."""
    # What Python calls printable has no control, no bidirectional and no surrogate characters.
    joined = "".join(names)
    if len(prefix) < _SHORT_PREFIX and joined.isprintable() and "\\" not in joined:
        return {}
    problems = ((name, problem_of(prefix + name)) for name in names)
    return {name: f"{quoted(prefix + name)} {problem}" for name, problem in problems if problem}


def problem_of(sample: str) -> str:
    """Why `sample` cannot be an id, as what follows it in a sentence; empty if it can."""
    try:
        size = len(sample.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    if size > LIMITS["id"]:
        return f"is longer than {LIMITS['id']} bytes"
    if re.search(UNSAFE_IN_IDS, sample):
        return "contains control or bidirectional characters"
    if "\\" in sample:
        return "contains a backslash, which leads into a folder on other systems"
    return ""


def folded(sample: str) -> str:
    """`sample` as systems that ignore case and composition see it."""
    if sample.isascii():
        return sample.lower()
    return unicodedata.normalize("NFC", sample).casefold()


def check_twins(runs: Iterable[tuple[str, Sequence[str]]]) -> None:
    """InputError naming the first two ids that are one under NFC and case folding.

    Ids come as (prefix, names). Neither composition nor case folding reaches across a slash, so
    only ids whose prefixes fold to the same text can be twins.
    """
    groups: dict[str, list[tuple[str, Sequence[str]]]] = {}
    for prefix, names in runs:
        groups.setdefault(folded(prefix), []).append((prefix, names))
    for group in groups.values():
        if len({prefix for prefix, _ in group}) == 1 and all(
            _folds_to_itself("".join(names)) for _, names in group
        ):
            continue
        seen: dict[str, str] = {}
        for prefix, names in group:
            for name in names:
                sample = prefix + name
                twin = seen.setdefault(folded(name), sample)
                if twin != sample:
                    raise InputError(
                        f"{quoted(twin)} and {quoted(sample)} are one file on systems that ignore"
                        " case or composition",
                        hint="rename one of them",
                        sample=sample,
                    )


def _folds_to_itself(text: str) -> bool:
    """Whether folding changes nothing, so that names that differ stay different."""
    return text.isascii() and text == text.lower()
