"""Receipts: the samples that a training run received, and its model (docs/format/run.md).

A receipt is signed as an in-toto Statement v1 whose subjects are the model's files. It names the
versions by head digest, and their samples by a bitmap in the order of ids. It is a claim of its
signer: no signature proves that a model was trained on these samples.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from provreg.core.encoding.bitmap import max_bytes
from provreg.core.encoding.canonical import canonical, parse_canonical, parse_json
from provreg.core.encoding.digest import blake3_digest, parse_digest
from provreg.core.encoding.names import DATASET_NAME
from provreg.core.encoding.strict_fields import MAX_INTEGER, Fields
from provreg.core.encoding.text import UNSAFE_CHARACTERS, counted, quoted
from provreg.core.encoding.times import format_time
from provreg.core.manifest.limits import LIMITS
from provreg.core.statements.statement import STATEMENT_TYPE
from provreg.errors import FormatError

RUN_PREDICATE = "https://provreg/training-run/v1"
# In base64 and with proofs it must fit into the 256 KiB of a bundle.
MAX_RECEIPT_BYTES = 128 << 10
MAX_PARAMETERS = 64 << 10  # bytes of canonical JSON
MAX_MODEL_FILES = 500
# The parameter that names the model's folder or file, as provreg records it.
MODEL_PATH = "model_path"
MAX_DATASETS = 64
MAX_SKIPPED_IDS = 100
_MAX_ENVIRONMENT = 64
_SHOWN = 3
_MAX_NAME = 1024
_MAX_VERSION = 99_999_999
_UNSAFE = re.compile(f"[{UNSAFE_CHARACTERS}\ud800-\udfff]")
_RUN = "[0-9a-f]{32}"
_COMMIT = "[0-9a-f]{40}|[0-9a-f]{64}"
_LIBRARY = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


@dataclass(frozen=True, slots=True)
class SkippedSamples:
    """The samples of a version that were skipped because they were not as signed: how many, and the
    ids of the first of them, in order."""

    samples: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """A version that a run read, and how many of its samples.

    `samples` is the version's number of samples. `seen` counts the samples that were delivered at
    least once, `handed_out` all deliveries, at most 255 per sample. `bitmap` is the written BLAKE3
    digest of the bitmap of the `seen` samples (`core.encoding.bitmap`).
    """

    dataset: str
    version: int
    uid: str
    head: str
    samples: int
    seen: int
    handed_out: int
    bitmap: str
    skipped: SkippedSamples | None = None


@dataclass(frozen=True, slots=True, order=True)
class ModelFile:
    """A file of the model: its path below the model's folder, bytes, and both written digests."""

    name: str
    size: int
    sha256: str
    blake3: str


@dataclass(frozen=True, slots=True)
class Script:
    """The script of a run: its name and the written SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Code:
    """The code of a run, if known.

    `commit` is git's. `dirty`: whether files under git differed from it, None if unknown.
    """

    commit: str | None = None
    dirty: bool | None = None
    script: Script | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One training run up to the moment when `model` was complete.

    `run` has 32 hex digits; receipts for checkpoints of the same run share it. `parameters` is any
    JSON object, `environment` has versions by package. Times are UTC, as the signer claims.
    """

    run: str
    datasets: tuple[TrainingInput, ...]
    model: tuple[ModelFile, ...]
    started: datetime
    finished: datetime
    code: Code = Code()
    parameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        versions = [f"{used.dataset}@{used.version}" for used in self.datasets[:_SHOWN]]
        versions += ["…"] if len(self.datasets) > _SHOWN else []
        files = counted(len(self.model), "model file")
        return f"Receipt({files}, trained on {', '.join(versions)})"

    def model_path(self) -> str:
        """The last part of the path of the model's folder or file, as claimed; empty if unknown."""
        path = self.parameters.get(MODEL_PATH)
        return path if isinstance(path, str) else ""

    def statement(self, *, allow_missing_model: bool = False) -> bytes:
        """The signed bytes: canonical JSON. With `allow_missing_model` the model can be empty.

        Raises FormatError for invalid fields, more than 128 KiB, or a number in `parameters` that
        canonical JSON cannot hold (2**53 and above).
        """
        data = canonical(
            {
                "_type": STATEMENT_TYPE,
                "predicateType": RUN_PREDICATE,
                "subject": [
                    {"name": file.name, "digest": {"sha256": parse_digest(file.sha256)[1].hex()}}
                    for file in self.model
                ],
                "predicate": {
                    "run": self.run,
                    "datasets": [_dataset_to_json(used) for used in self.datasets],
                    "files": [{"size": file.size, "blake3": file.blake3} for file in self.model],
                    "started": format_time(self.started),
                    "finished": format_time(self.finished),
                    "code": asdict(self.code),
                    "parameters": self.parameters,
                    "environment": self.environment,
                },
            }
        )
        parse_receipt(data, allow_missing_model=allow_missing_model)
        return data


def parse_receipt(data: bytes, *, allow_missing_model: bool = False) -> Receipt:
    """Reads a receipt. Raises FormatError for anything else.

    `allow_missing_model` is for unsigned receipts, which can be without a file.
    """
    fields = Fields(parse_canonical(data, what="the receipt", limit=MAX_RECEIPT_BYTES), "receipt")
    fields.text("_type", pattern=re.escape(STATEMENT_TYPE))
    kind = fields.text("predicateType", limit=200)
    if kind != RUN_PREDICATE:
        raise FormatError(
            f"the statement has type {quoted(kind)}, expected a receipt of type {RUN_PREDICATE}"
        )
    subjects = fields.items("subject", _read_subject, limit=MAX_MODEL_FILES)
    predicate = fields.object("predicate")
    fields.done()
    files = predicate.items("files", _read_file, limit=MAX_MODEL_FILES)
    if len(files) != len(subjects):
        raise FormatError(f"the receipt has {len(subjects)} subjects and {len(files)} files")
    receipt = Receipt(
        run=predicate.text("run", pattern=_RUN),
        datasets=predicate.items("datasets", _read_dataset, limit=MAX_DATASETS),
        model=tuple(
            ModelFile(name, size, sha256, blake3)
            for (name, sha256), (size, blake3) in zip(subjects, files, strict=True)
        ),
        started=predicate.time("started"),
        finished=predicate.time("finished"),
        code=_read_code(predicate.object("code")),
        parameters=_read_parameters(predicate),
        environment=_read_environment(predicate),
    )
    predicate.done()
    if receipt.model or not allow_missing_model:
        check_model_names([file.name for file in receipt.model])
    _check_consistent(receipt)
    return receipt


def check_model_names(names: Sequence[str]) -> None:
    """Raises FormatError unless `names` are valid names of a model's files, in order."""
    if not 1 <= len(names) <= MAX_MODEL_FILES:
        raise FormatError(f"a receipt has 1 to {MAX_MODEL_FILES} files, not {len(names)}")
    for name in names:
        sound = _UNSAFE.search(name) is None and 1 <= len(name.encode()) <= _MAX_NAME
        if not sound or not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise FormatError(f"{quoted(name)} is not the name of a model's file")
    if any(a.encode() >= b.encode() for a, b in pairwise(names)):
        raise FormatError("the receipt's files are not in the order of their names, or duplicate")


def _check_consistent(receipt: Receipt) -> None:
    if not receipt.datasets:
        raise FormatError("the receipt has no dataset")
    versions = [(used.dataset, used.version, used.head) for used in receipt.datasets]
    if any(a >= b for a, b in pairwise(versions)):
        raise FormatError("the receipt's versions are not in order, or duplicate")
    for used in receipt.datasets:
        if ".." in used.dataset:
            raise FormatError(f"{quoted(used.dataset)} is not a dataset name")
        if not used.seen <= used.samples or not used.seen <= used.handed_out <= 255 * used.seen:
            raise FormatError(f"the receipt's counts for {used.dataset} contradict each other")
        if used.skipped is not None:
            _check_skipped(used, used.skipped)
    if receipt.finished < receipt.started:
        raise FormatError("the receipt's run finished before it started")


def _check_skipped(used: TrainingInput, skipped: SkippedSamples) -> None:
    if not len(skipped.ids) <= skipped.samples <= used.samples:
        raise FormatError(f"the receipt's counts for {used.dataset} contradict each other")
    for sample in skipped.ids:
        if not sample or _UNSAFE.search(sample) is not None:
            raise FormatError(f"{quoted(sample)} is not the id of a sample")
    if any(a.encode() >= b.encode() for a, b in pairwise(skipped.ids)):
        raise FormatError("the receipt's skipped samples are not in order, or duplicate")


def _read_subject(fields: Fields) -> tuple[str, str]:
    name = fields.text("name", limit=_MAX_NAME)
    digest = fields.object("digest")
    sha256 = "sha256:" + digest.text("sha256", pattern="[0-9a-f]{64}")
    digest.done()
    return name, sha256


def _read_file(fields: Fields) -> tuple[int, str]:
    return fields.integer("size"), fields.digest("blake3", "blake3")


def _dataset_to_json(used: TrainingInput) -> dict[str, Any]:
    document = asdict(used)
    if used.skipped is None:
        del document["skipped"]
    return document


def _read_skipped(fields: Fields) -> SkippedSamples:
    skipped = SkippedSamples(
        fields.integer("samples", minimum=1),
        fields.texts("ids", limit=MAX_SKIPPED_IDS, size=LIMITS["id"]),
    )
    fields.done()
    return skipped


def _read_dataset(fields: Fields) -> TrainingInput:
    return TrainingInput(
        dataset=fields.text("dataset", pattern=DATASET_NAME),
        version=fields.integer("version", minimum=1, maximum=_MAX_VERSION),
        uid=fields.text("uid", pattern="[0-9a-f]{32}"),
        head=fields.digest("head", "sha256"),
        samples=fields.integer("samples", minimum=1),
        seen=fields.integer("seen", minimum=1),
        handed_out=fields.integer("handed_out", minimum=1, maximum=MAX_INTEGER),
        bitmap=fields.digest("bitmap", "blake3"),
        skipped=_read_skipped(fields.object("skipped")) if fields.has("skipped") else None,
    )


def _read_code(fields: Fields) -> Code:
    commit = fields.optional_text("commit", limit=64)
    if commit is not None and re.fullmatch(_COMMIT, commit) is None:
        raise fields.wrong("commit", "is not a commit digest")
    dirty = fields.raw("dirty")
    if dirty is not None and not isinstance(dirty, bool):
        raise fields.wrong("dirty", "is neither true, false nor null")
    script_fields = fields.optional_object("script")
    fields.done()
    if script_fields is None:
        return Code(commit, dirty)
    name = script_fields.text("name", limit=_MAX_NAME)
    script = Script(name, script_fields.digest("sha256", "sha256"))
    script_fields.done()
    return Code(commit, dirty, script)


def _read_parameters(fields: Fields) -> dict[str, Any]:
    parameters = fields.raw("parameters")
    if not isinstance(parameters, dict):
        raise fields.wrong("parameters", "is not an object")
    if len(canonical(parameters)) > MAX_PARAMETERS:
        raise fields.wrong("parameters", f"has more than {MAX_PARAMETERS} bytes")
    return parameters


def _read_environment(fields: Fields) -> dict[str, str]:
    environment = fields.raw("environment")
    if not isinstance(environment, dict) or len(environment) > _MAX_ENVIRONMENT:
        raise fields.wrong("environment", f"is not an object of at most {_MAX_ENVIRONMENT} texts")
    for name, version in environment.items():
        if re.fullmatch(_LIBRARY, name) is None or not isinstance(version, str):
            raise fields.wrong(
                "environment", f"has an invalid package name or version: {quoted(name)}"
            )
    return environment


UNSIGNED_FORMAT = "provreg.unsigned-receipt/v1"
# Half of each of 64 versions of 100,000,000 samples at random, in base64.
MAX_UNSIGNED_BYTES = 1 << 30
_WHAT = "the unsigned receipt"


@dataclass(frozen=True, slots=True)
class UnsignedReceipt:
    """A receipt's statement, and its bitmaps in the order of its datasets."""

    statement: bytes
    bitmaps: tuple[bytes, ...]

    @classmethod
    def of(cls, receipt: Receipt, bitmap_of: Callable[[str], bytes]) -> UnsignedReceipt:
        """`bitmap_of` returns the bitmap of a head."""
        bitmaps = tuple(bitmap_of(used.head) for used in receipt.datasets)
        return cls(receipt.statement(allow_missing_model=True), bitmaps)

    def to_bytes(self) -> bytes:
        return canonical(
            {
                "format": UNSIGNED_FORMAT,
                "statement": self.statement.decode(),
                "bitmaps": [base64.b64encode(bitmap).decode() for bitmap in self.bitmaps],
            }
        )


def parse_unsigned(data: bytes) -> tuple[UnsignedReceipt, Receipt]:
    """The inverse of `to_bytes`, with the receipt. Raises FormatError for any other bytes."""
    fields = Fields(parse_json(data, what=_WHAT, limit=MAX_UNSIGNED_BYTES), _WHAT)
    if fields.text("format", limit=80) != UNSIGNED_FORMAT:
        raise FormatError(f"{_WHAT} is not of the format {UNSIGNED_FORMAT}")
    statement = fields.text("statement", limit=MAX_RECEIPT_BYTES).encode()
    texts = fields.texts("bitmaps", limit=MAX_DATASETS)
    fields.done()
    receipt = parse_receipt(statement, allow_missing_model=True)
    if len(texts) != len(receipt.datasets):
        raise FormatError(f"{_WHAT} has {len(texts)} bitmaps for {len(receipt.datasets)} versions")
    bitmaps = []
    for text, used in zip(texts, receipt.datasets, strict=True):
        try:
            bitmap = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise FormatError(f"{_WHAT} has a bitmap that is not base64") from None
        if len(bitmap) > max_bytes(used.samples) or blake3_digest(bitmap) != used.bitmap:
            raise FormatError(
                f"{_WHAT} has a bitmap for {used.dataset} that does not match its digest"
            )
        bitmaps.append(bitmap)
    return UnsignedReceipt(statement, tuple(bitmaps)), receipt
