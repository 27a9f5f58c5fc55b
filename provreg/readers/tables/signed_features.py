"""What Hugging Face features say beside the types of columns, which the head records.

`datasets` hands out other values where a class label has other names, an image another mode, a
sound another rate, an array another shape; the rows stay the same. So what features say is signed.
A feature that is not known, or not what is stored, is refused: `datasets` casts the column, or
passes the feature over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from provreg.core.encoding.canonical import canonical, parse_json
from provreg.core.encoding.strict_fields import MAX_INTEGER, Fields
from provreg.core.encoding.text import printable, quoted
from provreg.core.rows.arrow_types import LISTS, columns_from_arrow
from provreg.core.rows.column import MAX_DEPTH, Column
from provreg.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A column, then names of fields; None stands for the elements of a list.
At: TypeAlias = "tuple[str | None, ...]"

_BYTES = {"decode": True}
# What media are unless told otherwise, so that a feature says the same whoever wrote it down.
_USUAL: dict[str, dict[str, Any]] = {
    "Image": {"mode": None, **_BYTES},
    "Audio": {"sampling_rate": None, "num_channels": None, "stream_index": None, **_BYTES},
    "Video": {
        "stream_index": None,
        "dimension_order": "NCHW",
        "num_ffmpeg_threads": 1,
        "device": "cpu",
        "seek_mode": "exact",
        **_BYTES,
    },
    "Pdf": _BYTES,
    "Nifti": _BYTES,
    "Mesh": _BYTES,
    "BioSequence": {"format": "fasta", **_BYTES},
    "BioStructure": {"format": "pdb", **_BYTES},
}
MEDIA = frozenset(_USUAL)
_ARRAYS = {f"Array{dimensions}D": dimensions for dimensions in (2, 3, 4, 5)}
_LISTS = frozenset({"List", "LargeList", "Sequence"})
_KINDS = frozenset({"ClassLabel", "Json", *MEDIA, *_ARRAYS})
_MAX_FEATURES, _MAX_PARAMETERS, _MAX_TEXT = 10_000, 64, 1024
_EXTENSION, _PARAMETERS = b"ARROW:extension:name", b"ARROW:extension:metadata"
_JSON, _OF_DATASETS = "arrow.json", "datasets."
_SAVE_AGAIN = "save the data again with the datasets library"
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, ?tz=([a-zA-Z0-9/_+\-:]+))?\]")
_DECIMAL = re.compile(r"decimal(128|256)\(([0-9]{1,3}), ?(-?[0-9]{1,3})\)")
_FIXED = re.compile(r"fixed_size_binary\[([0-9]{1,9})\]")
_DTYPES = {
    "null": pa.null(), "bool": pa.bool_(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")()
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": pa.float16(), "float32": pa.float32(), "float": pa.float32(),
    "float64": pa.float64(), "double": pa.float64(),
    "date32": pa.date32(), "date64": pa.date64(),
    **{f"time32[{unit}]": pa.time32(unit) for unit in ("s", "ms")},
    **{f"time64[{unit}]": pa.time64(unit) for unit in ("us", "ns")},
    **{f"duration[{unit}]": pa.duration(unit) for unit in ("s", "ms", "us", "ns")},
    "binary": pa.binary(), "large_binary": pa.large_binary(), "binary_view": pa.binary_view(),
    "string": pa.string(), "large_string": pa.large_string(), "string_view": pa.string_view(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Feature:
    """What the feature `at` a place says: which `kind` it is, and its parameters."""

    at: At
    kind: str
    parameters: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of classes, in the order of their numbers; None for what are no classes."""
        return tuple(self.parameters["names"]) if self.kind == "ClassLabel" else None

    def to_json(self) -> dict[str, Any]:
        return {"at": list(self.at), "type": self.kind, "with": dict(self.parameters)}


def extra_features(schema: pa.Schema, features: Mapping[str, Any]) -> tuple[Feature, ...]:
    """What the `features` of a file say that has this `schema`, with its extension types.

    The schema is one that `columns_from_arrow` takes. Raises FormatError for features that are
    unknown, or do not fit the columns.
    """
    unknown = sorted(features.keys() - set(schema.names))
    if unknown:
        raise FormatError(f"there is a feature of {quoted(unknown[0])}, which is not a column")
    found: list[Feature] = []
    for field in schema:
        found += _features_at(field, features.get(field.name), (field.name,))
    if len(found) > _MAX_FEATURES:
        raise FormatError(f"more than {_MAX_FEATURES:,} features say something")
    return tuple(found)


def merge_features(before: Sequence[Feature], now: Sequence[Feature]) -> tuple[Feature, ...] | str:
    """What two say who agree: the same, but for names of classes behind those of the other; else
    how `now` differs."""
    both, there = {first.at: first for first in before}, {first.at: first for first in now}
    for at in dict.fromkeys((*both, *there)):
        first, second = both.get(at), there.get(at)
        if first is None or second is None or first.kind != second.kind:
            return f"{written(at)} is {_described(second)}, not {_described(first)}"
        if first.names is not None and second.names is not None:
            shorter, longer = sorted((first, second), key=lambda each: len(each.names or ()))
            if (longer.names or ())[: len(shorter.names or ())] != shorter.names:
                return f"the classes of {written(at)} have other names or another order"
            both[at] = longer
        elif canonical(first.parameters) != canonical(second.parameters):
            return f"{written(at)} is {_described(second)}, not {_described(first)}"
    return tuple(both.values())


def difference(signed: Sequence[Feature], now: Sequence[Feature]) -> str | None:
    """Why `now` is not what is `signed`, None where it is. Names of classes may be fewer."""
    together = merge_features(signed, now)
    if isinstance(together, str):
        return together
    for feature, both in zip(signed, together, strict=True):
        if feature.names != both.names:
            return f"{written(feature.at)} has classes that are not signed"
    return None


def features_to_json(features: Sequence[Feature]) -> list[dict[str, Any]]:
    return [feature.to_json() for feature in features]


def features_from_json(fields: Fields, name: str, columns: Sequence[Column]) -> tuple[Feature, ...]:
    """What `features_to_json` made, of the field `name`. Raises FormatError."""
    features = fields.items(name, _feature_from_json, limit=_MAX_FEATURES)
    if len({feature.at for feature in features}) != len(features):
        raise fields.wrong(name, "has a duplicate feature")
    if not {feature.at[0] for feature in features} <= {column.name for column in columns}:
        raise fields.wrong(name, "names a column that does not exist")
    return features


def written(at: At) -> str:
    """A place, for messages."""
    return quoted(".".join("[]" if name is None else name for name in at))


def _feature_from_json(fields: Fields) -> Feature:
    kind, at, parameters = fields.text("type"), fields.raw("at"), fields.raw("with")
    if kind not in _KINDS:
        raise fields.wrong("type", f"is {quoted(kind)}, which is unknown")
    if (
        not isinstance(at, list)
        or not 0 < len(at) <= MAX_DEPTH + 1
        or not all(name is None or isinstance(name, str) for name in at)
        or at[0] is None
    ):
        raise fields.wrong("at", "is not a place in a column")
    if not isinstance(parameters, dict):
        raise fields.wrong("with", "is no object")
    if kind in MEDIA and _parameters(parameters, kind) != parameters:
        raise fields.wrong("with", "says what is usual")
    return Feature(tuple(at), kind, _checked(kind, parameters))


def kind_of(feature: Any) -> str | None:
    """The `_type` of a feature; None for structs, lists written as such, and none. Raises
    FormatError for what is no feature."""
    if feature is None or isinstance(feature, list):
        return None
    kind = feature.get("_type") if isinstance(feature, dict) else 0
    # A struct may have a field of that name.
    if isinstance(kind, str):
        return kind
    if kind is None or isinstance(kind, dict):
        return None
    raise FormatError("expected a feature, found something else")


def class_names(feature: Mapping[str, Any]) -> list[str]:
    """The names of a class label. Raises FormatError."""
    names = feature.get("names")
    if not isinstance(names, list) or not set(map(type, names)) <= {str}:
        raise FormatError("a class label has no list of names")
    if len(set(names)) != len(names):
        raise FormatError("a class label has a name twice")
    return names


def _features_at(field: pa.Field, feature: Any, at: At) -> Iterator[Feature]:
    arrow = field.type
    while isinstance(arrow, pa.BaseExtensionType):
        arrow = arrow.storage_type
    kind, extension = kind_of(feature), _extension(field)
    if extension is not None and extension[0] != _extension_of(kind):
        raise FormatError(
            f"{written(at)} is stored as {quoted(extension[0])}, and its feature says otherwise",
            hint=_SAVE_AGAIN,
        )
    if feature is None:
        yield from _stored_types(arrow, at)
    elif kind is None or kind in _LISTS:
        yield from _nested(arrow, feature, kind, at)
    elif kind == "ClassLabel":
        yield Feature(at, kind, {"names": class_names(feature)})
    elif kind in MEDIA:
        _check(at, kind, arrow, fits=_fields_of(arrow) == {"bytes", "path"})
        yield Feature(at, kind, _parameters(feature, kind))
    elif kind == "Json":
        _check(at, kind, arrow, fits=extension is not None)
        yield Feature(at, kind, _parameters(feature, kind))
    elif kind in _ARRAYS:
        yield Feature(at, kind, _array(arrow, extension, kind, feature, at))
    else:
        _check(at, kind, arrow, fits=_fits(arrow, kind, feature))


def _stored_types(arrow: pa.DataType, at: At) -> Iterator[Feature]:
    """Below what no feature speaks of, types alone say what is handed out."""
    if pa.types.is_struct(arrow):
        for field in arrow.fields:
            yield from _features_at(field, None, (*at, field.name))
    elif any(test(arrow) for test in LISTS):
        yield from _features_at(arrow.value_field, None, (*at, None))


def _nested(arrow: pa.DataType, feature: Any, kind: str | None, at: At) -> Iterator[Feature]:
    if pa.types.is_null(arrow):
        return
    if isinstance(feature, dict) and kind is None:
        yield from _struct(arrow, feature, at)
        return
    element = _element(feature)
    if kind == "Sequence" and isinstance(element, dict) and pa.types.is_struct(arrow):
        # `datasets` keeps a sequence of structs as a struct of lists.
        below = {name: {"_type": "List", "feature": inner} for name, inner in element.items()}
        yield from _struct(arrow, below, at)
        return
    _check(at, kind or "List", arrow, fits=any(test(arrow) for test in LISTS))
    yield from _features_at(arrow.value_field, element, (*at, None))


def _struct(arrow: pa.DataType, features: Mapping[str, Any], at: At) -> Iterator[Feature]:
    _check(at, "struct", arrow, fits=_fields_of(arrow) == set(features))
    for field in arrow.fields:
        yield from _features_at(field, features[field.name], (*at, field.name))


def _element(feature: Any) -> Any:
    """The feature of a list's elements."""
    if isinstance(feature, list):
        if len(feature) != 1:
            raise FormatError("a list of features does not hold one")
        return feature[0]
    return feature.get("feature")


def _fits(arrow: pa.DataType, kind: str, feature: Mapping[str, Any]) -> bool:
    """Whether what says nothing more than types is stored as such. Raises FormatError for a feature
    that is unknown."""
    if kind == "Value":
        return _same(arrow, feature.get("dtype"))
    if kind == "Translation":
        languages = feature.get("languages")
        named = languages if isinstance(languages, list) else []
        return _fields_of(arrow) == {name for name in named if isinstance(name, str)}
    if kind == "TranslationVariableLanguages":
        return _fields_of(arrow) == {"language", "translation"}
    raise FormatError(
        f"the feature {quoted(kind)} is unknown, and with it what is handed out",
        hint="cast the column to a feature that the datasets library has, or to what is stored",
    )


def _same(arrow: pa.DataType, dtype: Any) -> bool:
    """Whether values of the type `arrow` are those of the `dtype`, which `datasets` casts them
    to."""
    if pa.types.is_null(arrow):
        return True
    wanted = _arrow(dtype) if isinstance(dtype, str) else None
    if wanted is None:
        return False
    one, other = (columns_from_arrow(pa.schema([("value", each)])) for each in (arrow, wanted))
    return one == other


def _arrow(dtype: str) -> pa.DataType | None:
    """The Arrow type that a `dtype` names; None for one that names none."""
    if match := _TIMESTAMP.fullmatch(dtype):
        return pa.timestamp(match[1], match[2])
    if match := _DECIMAL.fullmatch(dtype):
        made = pa.decimal128 if match[1] == "128" else pa.decimal256
        try:
            return made(int(match[2]), int(match[3]))
        except ValueError:
            return None
    if match := _FIXED.fullmatch(dtype):
        return pa.binary(int(match[1]))
    return _DTYPES.get(dtype)


def _array(
    arrow: pa.DataType,
    extension: tuple[str, bytes] | None,
    kind: str,
    feature: Mapping[str, Any],
    at: At,
) -> dict[str, Any]:
    parameters = {"shape": feature.get("shape"), "dtype": feature.get("dtype")}
    for _ in range(_ARRAYS[kind]):
        _check(at, kind, arrow, fits=any(test(arrow) for test in LISTS))
        arrow = arrow.value_type
    _check(at, kind, arrow, fits=_same(arrow, parameters["dtype"]))
    # Which of the two `datasets` believes depends on the format of the file.
    stored = None
    if extension is not None:
        stored = parse_json(extension[1], what="an array's type", limit=_MAX_TEXT)
    _check(at, kind, arrow, fits=stored == [parameters["shape"], parameters["dtype"]])
    return _checked(kind, parameters)


def _parameters(feature: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a feature is told to be other than usual."""
    usual = _USUAL.get(kind, {}) | {"decode": True}
    return _checked(
        kind,
        {
            name: value
            for name, value in feature.items()
            if name not in {"_type", "id"}
            and not (name in usual and value == usual[name] and type(value) is type(usual[name]))
        },
    )


def _checked(kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """`parameters`, where they have the form that a head can hold. Raises FormatError."""
    if kind == "ClassLabel":
        if parameters.keys() != {"names"}:
            raise FormatError("a class label is told to be more than its names")
        class_names(parameters)
        return parameters
    for name, value in parameters.items():
        if kind in _ARRAYS and name == "shape":
            dimensions = value if isinstance(value, list) else []
            sound = len(dimensions) == _ARRAYS[kind] and all(
                (one is None and place == 0) or (_is_number(one) and one >= 0)
                for place, one in enumerate(dimensions)
            )
        else:
            text = isinstance(value, str) and len(value.encode()) <= _MAX_TEXT
            sound = value is None or isinstance(value, bool) or _is_number(value) or text
        if not sound or len(name.encode()) > _MAX_TEXT:
            raise FormatError(f"{kind} is told to be {quoted(name)} of a form that is not known")
    if len(parameters) > _MAX_PARAMETERS:
        raise FormatError(f"{kind} is told more than {_MAX_PARAMETERS} things")
    return parameters


def _is_number(value: Any) -> bool:
    return type(value) is int and abs(value) <= MAX_INTEGER


def _extension(field: pa.Field) -> tuple[str, bytes] | None:
    """Name and parameters of an extension type that `datasets` makes other values of. What the
    process has not imported stands in the field's metadata."""
    arrow = field.type
    if isinstance(arrow, pa.BaseExtensionType):
        name = arrow.extension_name
        own = isinstance(arrow, pa.ExtensionType)
        parameters = arrow.__arrow_ext_serialize__() if own else b""
    else:
        metadata = field.metadata or {}
        name = metadata.get(_EXTENSION, b"").decode(errors="replace")
        parameters = metadata.get(_PARAMETERS, b"")
    return (name, parameters) if name == _JSON or name.startswith(_OF_DATASETS) else None


def _extension_of(kind: str | None) -> str | None:
    if kind == "Json":
        return _JSON
    return f"{_OF_DATASETS}features.features.{kind}ExtensionType" if kind in _ARRAYS else None


def _fields_of(arrow: pa.DataType) -> set[str] | None:
    return {field.name for field in arrow.fields} if pa.types.is_struct(arrow) else None


def _check(at: At, kind: str, arrow: pa.DataType, *, fits: bool) -> None:
    if not fits and not pa.types.is_null(arrow):
        raise FormatError(
            f"the feature of {written(at)} is {kind}, and it is stored as {quoted(str(arrow))}",
            hint=_SAVE_AGAIN,
        )


def _described(feature: Feature | None) -> str:
    """What a feature says, for messages."""
    if feature is None:
        return "what is stored"
    parameters = ", ".join(
        f"{name}={value!r}" for name, value in sorted(feature.parameters.items())
    )
    return feature.kind if feature.names is not None else f"{feature.kind}({printable(parameters)})"
