"""Training runs: the delivered samples and the resulting model, in one signed receipt."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from provreg.core.encoding.canonical import canonical, parse_canonical
from provreg.core.encoding.digest import parse_digest
from provreg.core.encoding.text import quoted
from provreg.core.statements.oms import oms_statement
from provreg.core.statements.receipt import (
    MAX_PARAMETERS,
    MAX_SKIPPED_IDS,
    MODEL_PATH,
    ModelFile,
    Receipt,
    SkippedSamples,
)
from provreg.errors import FormatError, ProvregError, UsageError
from provreg.flows.receipts.code_state import code_revision, environment, running_script
from provreg.flows.receipts.publish import (
    pending_until_published,
    publish_receipt,
    trained_on,
    unsigned_receipt,
)
from provreg.flows.session.workspace import Workspace
from provreg.loaders.composition import RunInput, inputs_of
from provreg.loaders.passes.ranks import Counts, Ranks
from provreg.loaders.passes.shared_state import add_counts
from provreg.loaders.samples import VerifiedSamples
from provreg.readers.files.model import OMS_SIGNATURE, hash_model
from provreg.registry import Place
from provreg.store.files import replace_file
from provreg.trust.signers import KeySigner, Signer, oms_bundle

# The ids of skipped samples in one receipt, in bytes.
_ID_BYTES = 16 << 10
# model_signing excludes these from a folder by default; a receipt names them.
_GIT = frozenset({".git", ".gitattributes", ".github", ".gitignore"})


def training_run(
    *datasets: Any,
    model: Place,
    sign: Signer | str,
    parameters: Mapping[str, Any] | None = None,
    registry: Place | None = None,
    oms: bool = True,
) -> TrainingRun:
    """A training run, as a context manager: `with provreg.training_run(ds, …) as run:`.

    `datasets` are results of `provreg.load`, datasets of `provreg.loaders`, and what PyTorch
    composes of them (`Subset`, `random_split`, `ConcatDataset`, a `DataLoader`), however nested.

    The receipt records the samples that they deliver inside the block, in this process and in its
    workers, with `parameters`, the code's revision, and the digests of `model`, a file or a folder,
    at the end of the block. Samples of a `datasets.Dataset` that was made by provreg are recorded
    when the block begins, once each. If a dataset delivers nothing inside the block, the samples it
    delivered before are recorded: it was converted, into arrays for example.

    The receipt is signed by `sign` (a signer, `key:FILE` or `keyless`) and stored in `registry`, by
    default that of the datasets. A model's folder also gets an OMS signature, `model.sig`, unless
    `oms` is off.

    An exception inside the block records nothing. Raises UsageError before training begins for
    datasets and parameters that a receipt cannot record, for concatenated datasets with different
    class indices, and for a signer that cannot sign.
    """
    return TrainingRun(
        tuple(found for dataset in datasets for found in inputs_of(dataset)),
        Path(model),
        sign,
        dict(parameters or {}),
        None if registry is None else Path(registry),
        oms=oms,
    )


class TrainingRun:
    """Returned by `training_run`.

    `parameters` can be added to until the block ends. `receipt` is then the SHA-256 digest of the
    receipt. It is None before, and in all ranks but the first of a distributed run, which collects
    the counts of the others.
    """

    def __init__(
        self,
        inputs: tuple[RunInput, ...],
        model: Path,
        sign: Signer | str,
        parameters: dict[str, Any],
        registry: Path | None,
        *,
        oms: bool,
    ) -> None:
        if not inputs:
            raise UsageError(
                "a training run needs a dataset", hint="pass the result of provreg.load"
            )
        self.parameters = parameters
        self.receipt: str | None = None
        self._inputs = inputs
        self._datasets = tuple({id(samples): samples for samples, _ in inputs}.values())
        self._model = model
        self._sign = sign
        self._workspace = _workspace(self._datasets, registry)
        self._oms = oms

    def __repr__(self) -> str:
        datasets = ", ".join(dataset.version.reference for dataset in self._datasets)
        receipt = "no receipt yet" if self.receipt is None else f"receipt {self.receipt}"
        return f"TrainingRun({datasets}, model {quoted(str(self._model))}, {receipt})"

    def __enter__(self) -> Self:
        self._ranks = Ranks.find()
        left_out = [_left_out(dataset) for dataset in self._datasets if dataset.left_out]
        if left_out:
            self.parameters["left_out_as_revoked"] = left_out
        _check_parameters(self.parameters)
        self._initial_parameters = deepcopy(self.parameters)
        if self._ranks.first:
            self._signer = _signer(self._sign)
            _check_oms(self._signer, wanted=self._oms)
        self._before = [dataset.start_run() for dataset in self._datasets]
        for samples, held in self._inputs:
            if held is not None:
                samples.deliveries.add_all(held)
        self._run = secrets.token_hex(16)
        self._started = _now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.receipt = self.publish()

    def publish(self, model: Place | None = None) -> str | None:
        """Publishes a receipt for `model` and the samples delivered so far: for checkpoints.

        Returns its SHA-256 digest; None in ranks other than the first, which must call it, too.
        Raises UsageError if no sample was delivered. Later errors say where the unsigned receipt is
        stored: those of the signer, StorageError, those of `hash_model` (the receipt then lacks the
        model), and UsageError for parameters that cannot be recorded (it then has the initial
        ones).
        """
        counts = self._ranks.gather(self._counts())
        skips = self._ranks.gather(self._skips())
        if counts is None or skips is None:
            return None
        path = self._model if model is None else Path(model)
        of_head = {dataset.version.digest: dataset for dataset in self._datasets}
        inputs = [
            trained_on(
                of_head[digest].head,
                digest,
                found,
                _skipped_samples(of_head[digest], skips[digest], _ID_BYTES // len(counts)),
            )
            for digest, found in counts.items()
        ]
        datasets = [dataset for dataset in inputs if dataset.seen]
        if not datasets:
            raise UsageError(
                "no sample was delivered inside the block: there is nothing to record",
                hint="iterate inside the block over the datasets passed to training_run, not over"
                " copies of their samples",
            )
        files, no_model = _files(path)
        parameters, not_recorded = self._recordable()
        complaint = no_model or not_recorded
        receipt = Receipt(
            run=self._run,
            datasets=tuple(
                sorted(
                    datasets, key=lambda dataset: (dataset.dataset, dataset.version, dataset.head)
                )
            ),
            model=files,
            started=self._started,
            finished=_now(),
            code=code_revision(running_script(), Path.cwd()),
            parameters=_with_model_path(parameters, path),
            environment=environment(),
        )
        unsigned = unsigned_receipt(receipt, counts)
        with pending_until_published(self._workspace, unsigned, allow_missing_model=not files):
            if complaint is not None:
                raise complaint
            oms = _oms_signature(path, files, self._signer) if self._oms else None
            published = publish_receipt(self._workspace, unsigned, self._signer)
        if oms is not None:
            replace_file(path / OMS_SIGNATURE, oms, 0o644)
        return published

    def _counts(self) -> Counts:
        """How often each sample was delivered, by head digest: a version can be loaded twice."""
        counts: Counts = {}
        for dataset, before in zip(self._datasets, self._before, strict=True):
            digest, found = dataset.version.digest, dataset.deliveries.counts()
            if not found.any():
                found = before
            counts[digest] = add_counts(counts[digest], found) if digest in counts else found
        return counts

    def _skips(self) -> Counts:
        """Which samples were skipped, not 0, by head digest."""
        skips: Counts = {}
        for dataset in self._datasets:
            digest, found = dataset.version.digest, dataset.skipped_in_run()
            skips[digest] = add_counts(skips[digest], found) if digest in skips else found
        return skips

    def _recordable(self) -> tuple[dict[str, Any], UsageError | None]:
        """(the parameters, None), or (the initial ones, why the current cannot be recorded)."""
        try:
            _check_parameters(self.parameters)
        except UsageError as error:
            return self._initial_parameters, error
        return self.parameters, None


def _with_model_path(parameters: dict[str, Any], model: Path) -> dict[str, Any]:
    """`parameters` with the last part of the model's path, by which people tell checkpoints apart.

    Without it if it cannot be recorded, or if they have an entry of that name.
    """
    extended = {MODEL_PATH: model.resolve().name} | parameters
    try:
        _check_parameters(extended)
    except UsageError:
        return parameters
    return extended


def _workspace(datasets: tuple[VerifiedSamples, ...], registry: Path | None) -> Workspace:
    """The registry that stores the receipt."""
    if registry is not None:
        from provreg.registry import Registry

        return Registry.open(registry).workspace
    first, *others = (workspace.workspace for workspace in datasets)
    if any(workspace.location != first.location for workspace in others):
        raise UsageError(
            "the datasets are from different registries",
            hint="pass registry= to choose where the receipt is stored",
        )
    return first


def _left_out(samples: VerifiedSamples) -> dict[str, Any]:
    """How many samples were excluded as revoked, and the newest revocation at that time."""
    newest = samples.version.chain.newest
    return {
        "version": samples.reference,
        "samples": samples.left_out,
        "newest_revocation": None if newest is None else newest.number,
    }


def _skipped_samples(
    samples: VerifiedSamples, skips: npt.NDArray[np.uint8], limit: int
) -> SkippedSamples | None:
    """The skipped samples, with ids of at most `limit` bytes together; None if there are none."""
    rows = np.flatnonzero(skips)
    if not len(rows):
        return None
    ids = samples.ids(rows[:MAX_SKIPPED_IDS])
    sizes = accumulate(len(sample.encode()) for sample in ids)
    listed = (sample for sample, size in zip(ids, sizes, strict=True) if size <= limit)
    return SkippedSamples(len(rows), tuple(listed))


def _files(model: Path) -> tuple[tuple[ModelFile, ...], ProvregError | None]:
    """The model's files, or why there are none."""
    try:
        return hash_model(model), None
    except ProvregError as error:
        return (), error


def _signer(sign: Signer | str) -> Signer:
    """The signer, loaded before training begins rather than after."""
    if not isinstance(sign, str):
        return sign
    kind, _, value = sign.partition(":")
    if kind == "key" and value:
        return KeySigner.load(value, os.environ.get("PROVREG_PASSWORD"))
    if kind != "keyless":
        raise UsageError(
            f"invalid value of sign: {quoted(sign)}",
            hint="pass sign='key:FILE', sign='keyless' or a signer",
        )
    from provreg.trust.sigstore.sign import KeylessSigner

    return KeylessSigner.load(token=value or None)


def _check_oms(signer: Signer, *, wanted: bool) -> None:
    if wanted and isinstance(signer, KeySigner) and signer.key.public.algorithm != "p256":
        raise UsageError(
            f"model_signing cannot verify with a key of type {signer.key.public.algorithm}",
            hint="sign with a P-256 key, or pass oms=False",
        )


def _check_parameters(parameters: dict[str, Any]) -> None:
    """Checks each by itself first, so that the error names the one that cannot be recorded."""
    for what, some in [
        *(
            (f"the parameter {quoted(str(name))}", {name: value})
            for name, value in parameters.items()
        ),
        ("the whole of the parameters", parameters),
    ]:
        try:
            parse_canonical(canonical(some), what="it", limit=MAX_PARAMETERS)
        except FormatError as error:
            raise UsageError(
                f"{what} cannot be recorded: {error.message}",
                hint="use JSON values: strings, lists, objects, and numbers in its range",
            ) from None


def _oms_signature(folder: Path, files: tuple[ModelFile, ...], signer: Signer) -> bytes | None:
    if not folder.is_dir():
        return None
    digests = [
        (file.name, parse_digest(file.sha256)[1])
        for file in files
        if file.name.partition("/")[0] not in _GIT
    ]
    return oms_bundle(oms_statement(folder.resolve().name, digests), signer)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
