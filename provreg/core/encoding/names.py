"""Names of datasets, references to their versions, and which texts can be names at all.

See docs/concepts/terms.md, "References", and docs/format/manifest.md, "Names". A name with a hidden
character is another name than it seems. The tables of characters are part of the format: no
library's version changes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from provreg.core.encoding.digest import parse_digest
from provreg.core.encoding.text import HIDDEN, quoted
from provreg.errors import FormatError, UsageError

# No dot at the end: Windows shares drop it, and two names would be one folder.
DATASET_NAME = r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9_-])?"
_REFERENCE = re.compile(r"([^@]+)(?:@(.+))?")


def check_dataset_name(name: str) -> str:
    """`name`; raises UsageError unless it has 1 to 128 of a-z 0-9 . _ -, begins with a letter or
    digit, does not end with a dot, and has no `..`."""
    if re.fullmatch(DATASET_NAME, name) is None or ".." in name:
        dataset, at, _ = name.partition("@")
        if at and re.fullmatch(DATASET_NAME, dataset) is not None:
            raise UsageError(
                f"{quoted(name)} is a version, not a dataset name", hint=f"write {dataset}"
            )
        raise UsageError(
            f"{quoted(name)} is not a dataset name",
            hint="use 1 to 128 of a-z, 0-9, '.', '_', '-', beginning with a letter or a digit and"
            " not ending with '.'",
        )
    return name


@dataclass(frozen=True, slots=True)
class Reference:
    """`name`, `name@latest`, `name@3` or `name@sha256:…`.

    At most one of `version` and `head` is set; with neither, the newest version is meant. `latest`
    says that the newest was asked for explicitly, which an exact pin does not change.
    """

    dataset: str
    version: int | None = None
    head: str | None = None
    latest: bool = field(default=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises UsageError for any other text."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise _not_a_reference(text)
        dataset, selector = check_dataset_name(match[1]), match[2]
        if selector is None or selector == "latest":
            return cls(dataset, latest=selector is not None)
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
    hint = "write name, name@3, name@latest or name@sha256:…"
    if number := re.fullmatch(r"([^@]+)@v?0*([1-9][0-9]{0,7})", text):
        hint = f"did you mean {quoted(f'{number[1]}@{number[2]}')}? {hint}"
    elif digits := re.search(r"@sha256:([0-9a-f]{1,63})$", text):
        hint = f"a digest has 64 digits, this one has {len(digits[1])}: copy all of it"
    return UsageError(f"{quoted(text)} is not a reference", hint=hint)


def check_utf8(what: str, *texts: str | None) -> None:
    """Raises UsageError if one of `texts` cannot be encoded in UTF-8: a command line or variable in
    another encoding, or half a surrogate pair. `what` names the texts in the message."""
    for text in texts:
        if text is not None and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise UsageError(
                    f"{what} {quoted(text)} is not UTF-8",
                    hint="write it in UTF-8",
                ) from None


_HIDDEN = re.compile(f"[{HIDDEN}]")
_BLANKS = " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_AT_AN_END = re.compile(f"^[{_BLANKS}]|[{_BLANKS}]$")

_ZWNJ, _ZWJ = "\u200c", "\u200d"
# Signs of Indic scripts that suppress a vowel (canonical combining class 9).
_VIRAMAS = (
    "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u0e3a\u0eba\u0f84"
    "\u1039\u103a\u1714\u1715\u1734\u17d2\u1a60\u1b44\u1baa\u1bab\u1bf2\u1bf3\u2d7f\ua806\ua82c"
    "\ua8c4\ua953\ua9c0\uaaf6\uabed"
)
# Arabic letters that join on both sides, letters that join to the preceding one, and marks.
_BOTH = (
    "\u0620\u0626\u0628\u062a-\u062e\u0633-\u063f\u0641-\u0647\u0649-\u064a\u066e-\u066f"
    "\u0678-\u0687\u069a-\u06bf\u06c1-\u06c2\u06cc\u06ce\u06d0-\u06d1\u06fa-\u06fc\u06ff"
    "\u075c-\u076a\u076d-\u0770\u0772\u0775-\u0777\u077a-\u077f"
)
_BEFORE = (
    "\u0622-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0673\u0675-\u0677\u0688-\u0699\u06c0"
    "\u06c3-\u06cb\u06cd\u06cf\u06d2-\u06d3\u06d5\u06ee-\u06ef\u0759-\u075b\u076b-\u076c\u0771"
    "\u0773-\u0774\u0778-\u0779"
)
_MARKS = "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7-\u06e8\u06ea-\u06ed"
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9-\u21aa\u2300-\u23ff\u24c2"
    "\u25aa-\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u27bf\u2934-\u2935\u2b05-\u2b07\u2b1b-\u2b1c"
    "\u2b50\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_LETTER_BEFORE = re.compile(f"[{_BOTH}][{_MARKS}]*$")
_LETTER_AFTER = re.compile(f"[{_MARKS}]*[{_BOTH}{_BEFORE}]")
_EMOJI_BEFORE = re.compile(f"[{_EMOJI}]\ufe0f?$")
_EMOJI_AFTER = re.compile(f"[{_EMOJI}]")


def name_complaint(name: str) -> str | None:
    """Why `name` cannot be a source, labeler or split; None if it can."""
    found = _HIDDEN.search(name)
    if found is not None:
        return f"has a hidden character (U+{ord(found.group()):04X})"
    if _AT_AN_END.search(name):
        return "begins or ends with a blank"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode's normalization form C"
    return None


def is_class_name(name: str) -> bool:
    """Whether `name` can be a class: its only hidden characters are joiners in a valid place.

    Joiners are ordinary in Persian, in Indic scripts and in emoji (UAX #31, RFC 5892).
    """
    return all(_joins(name, found.start()) for found in _HIDDEN.finditer(name))


def twins_in_form_c(names: Iterable[str]) -> tuple[str, str] | None:
    """Two of `names`, which are all different, that are equal in normalization form C; else None.

    They look the same. Names that differ in case do not.
    """
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if first != name:
            return first, name
    return None


def _joins(name: str, at: int) -> bool:
    character, before, after = name[at], name[:at], name[at + 1 :]
    if character in {_ZWNJ, _ZWJ} and before and before[-1] in _VIRAMAS:
        return True
    if character == _ZWNJ:
        return bool(_LETTER_BEFORE.search(before) and _LETTER_AFTER.match(after))
    if character == _ZWJ:
        return bool(_EMOJI_BEFORE.search(before) and _EMOJI_AFTER.match(after))
    if character in {"\ufe0e", "\ufe0f"}:
        keycap = before[-1:] in set("0123456789#*") and after.startswith("\u20e3")
        return keycap or bool(before and _EMOJI_AFTER.match(before[-1]))
    return False
