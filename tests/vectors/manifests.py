"""Manifests that break one rule each, in their entries or in their cuts (step 11)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from case import Case
from forge import FOLDER, INSIDE, Forge, Kept, document, entry, many, pets, table, uncut

from provreg.core.manifest.limits import LIMITS

TABLE = {"reader": "csv"}
LONG = "x" * 4097


def _pets(**second: Any) -> list[dict[str, Any]]:
    """The pets, the second with other columns."""
    rows = pets()
    rows[1] |= second
    return rows


def _ids(*ids: str) -> list[dict[str, Any]]:
    return [entry(identity) for identity in ids]


def _notes(*labels: str | None) -> list[dict[str, Any]]:
    return [{"label": label, "labeler": name} for label, name in zip(labels, "abc", strict=False)]


# (name, what is wrong, what the message says, rows, facts of the head). A head cannot say a name
# that is too long; it says none then, which is looked at later.
MAJORITY = FOLDER | {"aggregation": "majority"}
PACKAGE = {"reader": "lines", "package": "provreg-lines", "package_version": "1.2",
           "samples": "files"}  # fmt: skip
ROWS: tuple[tuple[str, str, str, list[dict[str, Any]], dict[str, Any]], ...] = (
    ("unsorted", "ids out of order", "not ascending and unique at 'b'",
     _ids("a", "c", "b", "d"), {}),
    ("sorted-as-utf-16", "ids sorted as UTF-16 and not by their bytes", "not ascending and unique",
     _ids("\U0001f600", "\uff5e"), {}),
    ("duplicate-id", "an id twice", "not ascending and unique at 'a'", _ids("a", "a"), {}),
    ("empty-id", "an empty id", "the id is empty", _ids("", "a"), {"reading": TABLE}),
    ("id-too-long", "an id of more than 4,096 bytes", "a longer id than", _ids(LONG), {}),
    ("id-with-a-control-character", "a control character in an id",
     "'a\\x1b[2J': the id has control", _ids("a\x1b[2J"), {"reading": TABLE}),
    ("id-with-a-bidirectional-character", "a character in an id that turns the line around",
     "the id has control or bidirectional", _ids("gnp.\u202ecod"), {"reading": TABLE}),
    ("id-out-of-the-folder", "a folder's id with `..`", "'../1.jpg' is not a path below",
     _ids("../1.jpg"), {}),
    ("id-out-of-the-files-of-a-package", "an id with `..` where a package's samples are files",
     "'../1.jpg' is not a path below", _ids("../1.jpg"), {"reading": PACKAGE}),
    ("id-absolute", "a folder's id that begins at the root", "is not a path below",
     _ids("/etc/passwd"), {}),
    ("id-with-an-empty-segment", "a folder's id with an empty segment", "is not a path below",
     _ids("cat//1.jpg"), {}),
    ("id-with-a-dot-segment", "a folder's id with a segment `.`", "is not a path below",
     _ids("cat/./1.jpg"), {}),
    ("id-with-a-backslash", "a folder's id with a backslash", "is not a path below",
     _ids("cat\\1.jpg"), {}),
    ("id-twins", "two folder ids that differ in case only", "are the same file on some systems",
     _ids("cat/A.jpg", "cat/a.jpg"), {}),
    ("id-twins-of-unicode", "two folder ids that Unicode composes alike",
     "are the same file on some systems", _ids("cat/e\u0301.jpg", "cat/\u00e9.jpg"), {}),
    ("label-too-long", "a label of more than 1,024 bytes", "a longer label than",
     _pets(label="\u00e9" * 513), {"classes": ["cat", "dog"]}),
    ("label-and-digest", "both a label and a label's digest", "both a label and a label digest",
     _pets(label_digest=b"d" * 32), {}),
    ("empty-source", "an empty source", "'cat/2.jpg': the source is empty", _pets(source=""), {}),
    ("source-too-long", "a source of more than 256 bytes", "a longer source than",
     _pets(source="s" * 257), {"sources": {"top": []}}),
    ("labeler-too-long", "a labeler of more than 256 bytes", "a longer labeler than",
     _pets(labeler="l" * 257), {"labelers": {"top": []}}),
    ("split-too-long", "a split of more than 256 bytes", "a longer split than",
     _pets(split="s" * 257), {}),
    ("uri-too-long", "a URI of more than 8,192 bytes", "a longer uri than",
     _pets(uri="u" * 8193), {}),
    ("attrs-too-long", "attributes of more than 4,096 bytes", "a longer attrs than",
     _pets(attrs='"' + "a" * 4095 + '"'), {}),
    ("attrs-not-canonical", "attributes that are not canonical JSON", "attrs is not in canonical",
     _pets(attrs='{"b": 1}'), {}),
    ("attrs-scalar-on-level-65", "attributes with a number on level 65", "deeper than 64",
     _pets(attrs="[" * 64 + "1" + "]" * 64), {}),
    ("attrs-no-json", "attributes that are no JSON", "attrs is not valid JSON",
     _pets(attrs="b"), {}),
    ("labeled-beyond-the-calendar", "a time of labeling after the year 9999",
     "labeled_at is out of range", _pets(labeled_at=253_402_300_800_000_000), {}),
    ("annotation-null", "an annotation that is null", "an annotation is null",
     _pets(annotations=[None]), {}),
    ("annotation-label-too-long", "an annotation's label of more than 1,024 bytes",
     "a longer label than", _pets(annotations=[{"label": "x" * 1025}]), {}),
    ("annotation-labeler-too-long", "an annotation's labeler of more than 256 bytes",
     "a longer labeler than", _pets(annotations=[{"labeler": "x" * 257}]), {}),
    ("annotation-beyond-the-calendar", "an annotation before the year 1",
     "of an annotation is out of range", _pets(annotations=[{"labeled_at": -(2**62)}]), {}),
    ("annotations-too-many", "more than 1,024 annotations", "more than 1024 annotations",
     _pets(annotations=[{}] * 1025), {}),
    ("source-zero-width", "a source that holds a character of no width",
     "the source 'shel\\u200bter' has a hidden character (U+200B)",
     _pets(source="shel\u200bter"), {}),
    ("labeler-variation-selector", "a labeler that holds a variation selector",
     "has a hidden character (U+FE0F)", _pets(labeler="ann\ufe0f"), {}),
    ("labeler-joiner", "a labeler that holds a joiner, as classes may",
     "has a hidden character (U+200C)", _pets(labeler="\u0645\u06cc\u200c\u0645"), {}),
    ("split-tag", "a split that holds a tag", "has a hidden character (U+E0061)",
     _pets(split="train\U000e0061"), {}),
    ("source-filler", "a source that is a filler", "has a hidden character (U+3164)",
     _pets(source="\u3164"), {}),
    ("source-blank-behind", "a source that ends with a blank", "begins or ends with a blank",
     _pets(source="shelter "), {}),
    ("labeler-not-normalized", "a labeler that is not in normalization form C",
     "is not in Unicode's normalization form C", _pets(labeler="rene\u0301"), {}),
    ("annotation-labeler-zero-width", "an annotation's labeler that holds a character of no width",
     "of an annotation has a hidden character", _pets(annotations=[{"labeler": "ann\u200b"}]), {}),
    ("label-not-the-majority", "a label that is not that of most annotations",
     "the label is not the majority of its annotations",
     _pets(label="cat", annotations=_notes("dog", "dog", "cat")), {"reading": MAJORITY}),
    ("label-of-tied-annotations", "a label though the annotations are tied",
     "the label is not the majority of its annotations",
     _pets(label="cat", annotations=_notes("dog", "cat", None)), {"reading": MAJORITY}),
    ("label-of-empty-annotations", "a label though nobody annotated",
     "the label is not the majority of its annotations",
     _pets(label="cat", annotations=[]), {"reading": MAJORITY}),
    ("aggregation-unknown", "a rule of aggregation that nobody knows",
     "'mean' is not a rule of aggregation", pets(),
     {"reading": MAJORITY | {"aggregation": "mean"}}),
    ("sources-miscounted", "a false number of sources", "counts of sources are wrong", pets(),
     {"sources": {"distinct": 2}}),
    ("sources-false-top", "a false count for a source", "counts of sources are wrong", pets(),
     {"sources": {"top": [{"name": "shelter", "samples": 5}]}}),
    ("sources-false-table", "another table of sources", "table of sources does not match", pets(),
     {"sources": {"table": "blake3:" + "ab" * 32}}),
    ("labelers-miscounted", "labelers that never labeled", "counts of labelers are wrong", pets(),
     {"labelers": {"top": [{"name": "ben", "samples": 6}]}}),
    ("labels-denied", "the label type `none` though there are labels",
     "label type is none, its labels need", pets(), {"label_type": "none", "classes": []}),
    ("label-outside-the-classes", "a label that is none of its classes",
     "the label 'dog' is not one of the head's classes", pets(), {"classes": ["cat"]}),
    ("long-label-among-classes", "the label type `class` though a label is long",
     "label type is class, its labels need",
     _pets(label=None, label_digest=b"d" * 32), {}),
)  # fmt: skip


def cases(kept: Kept) -> Iterator[Case]:
    for name, wrong, says, rows, facts in ROWS:
        yield _rows_case(kept, f"manifest-{name}", wrong, says, rows, facts)
    yield from _cuts(kept)


def _rows_case(
    kept: Kept,
    name: str,
    wrong: str,
    says: str,
    rows: Sequence[dict[str, Any]],
    facts: dict[str, Any],
) -> Case:
    forge = Forge(kept)
    entries = table(rows)
    ids = [row["id"].encode() for row in rows]
    # A head cannot say such bounds: those it says instead are not what is wrong here.
    sayable = ids[0] <= ids[-1] and len(ids[0]) <= LIMITS["id"]
    bounds = {} if sayable else {"first": "", "last": "\U0010ffff"}
    parts = [forge.part(uncut(entries, [len(rows)]), kept.of(name, entries), **bounds)]
    true = document(entries, parts)
    forge.version(
        entries, parts, **{key: _merged(true.get(key), value) for key, value in facts.items()}
    )
    return Case(name, f"A manifest with {wrong} is refused.", forge.files, 11, says)


def _merged(true: Any, said: Any) -> Any:
    return true | said if isinstance(true, dict) and "table" in true else said


def _cuts(kept: Kept) -> Iterator[Case]:
    blocks, part = table([entry(f"{n:04}", "x") for n in range(400)]), table(many())
    shapes = (
        ("block-too-long", "a block that goes on where it must end", blocks, [[400]],
         "do not have the logical digest"),
        ("block-ended-early", "a block that ends where none may", blocks, [[10, 400]],
         "do not have the logical digest"),
        ("part-ended-early", "a part that ends where none may", table(pets()), [[3], [6]],
         "a part ends too early for its ids"),
        ("part-ended-inside-a-block", "a part that ends at a good id, but inside a block", part,
         [None, None], "a part ends too early for its ids"),
        ("part-too-long", "a part that goes on where it must end", part, [None],
         "a part is not cut as its ids require"),
    )  # fmt: skip
    files = {
        "block-too-long": "good-several-blocks",
        "block-ended-early": "good-several-blocks",
        "part-too-long": "part-too-long",
    }
    ends = {"part-ended-early": [3, 6], "part-ended-inside-a-block": [INSIDE, part.num_rows]}
    for name, wrong, rows, cuts, says in shapes:
        forge = Forge(kept)
        bounds = [0, *ends.get(name, [rows.num_rows])]
        pieces = [rows.slice(a, b - a) for a, b in itertools.pairwise(bounds)]
        parts = [
            forge.part(
                uncut(piece, cut and [end - start for end in cut]),
                kept.of(files.get(name, f"{name}-{place}"), piece),
            )
            for place, (piece, cut, start) in enumerate(zip(pieces, cuts, bounds, strict=False))
        ]
        forge.version(rows, parts)
        yield Case(f"cut-{name}", f"A manifest with {wrong} is refused.", forge.files, 11, says)
