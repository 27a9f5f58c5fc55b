"""PyTorch datasets of verified samples, for `torch.utils.data.DataLoader`.

Worker processes, forked or spawned, receive a few hundred bytes and map the manifest that the main
process verified. An error of a worker is raised again in the training process, with its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, NotTrustedError, ProvregError, UsageError, needs_extra
from provreg.loaders.composition import check_class_indices
from provreg.loaders.images import decode_rgb
from provreg.loaders.load import LoadOptions, load
from provreg.loaders.passes.manifest import Entry
from provreg.loaders.passes.ranks import OwnRank, Ranks
from provreg.loaders.samples import Payload, Sample, streamed_only
from provreg.registry import Place

with needs_extra("torch"):
    from torch.utils.data import Dataset, IterableDataset, get_worker_info

if TYPE_CHECKING:
    from PIL.Image import Image


class VerifiedDataset(Dataset[Any]):
    """The samples of a version by index, each as `transform` makes it of a `provreg.Sample`.

    For data whose samples can be read one by one. `reference` and `options` are those of
    `provreg.load`. With `on_bad="skip"` batches lack the samples that are not as signed; a single
    sample or an empty batch is still an error.
    """

    def __init__(
        self,
        reference: str,
        *,
        data: Place | Sequence[Place],
        transform: Callable[[Any], Any] | None = None,
        **options: Unpack[LoadOptions],
    ) -> None:
        """Verifies the version (steps 1 to 11); raises as `provreg.load`."""
        self.verified = load(reference, data=data, **options)
        self.transform = transform
        if not self.verified.random_access:
            raise streamed_only(self.verified)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verified.description})"

    def __len__(self) -> int:
        return len(self.verified)

    def __getitem__(self, index: int) -> Any:
        try:
            return self._item(*self.verified.read(index))
        except ProvregError as error:
            _carry(error)
            raise

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """A batch, as the DataLoader fetches it."""
        try:
            items = [self._item(*read) for read in self.verified.read_all(indices)]
            if not items:
                raise NotTrustedError(
                    f"none of the {len(indices)} samples of a batch is as signed",
                    step=12,
                    hint="use VerifiedIterableDataset, which fills batches with other samples",
                )
        except ProvregError as error:
            _carry(error)
            raise
        return items

    def verify_data(self) -> None:
        """Checks all data of the version now (step 12): call it before the first step.

        Raises NotTrustedError with a finding for each difference.
        """
        self.verified.verify_data()

    def _item(self, entry: Entry, payload: Payload) -> Any:
        sample = self.verified.sample(entry, payload)
        return sample if self.transform is None else self.transform(sample)


class ImageDataset(VerifiedDataset):
    """Verified images with the index of their class, in place of torchvision's ImageFolder.

    `classes` and `class_to_idx` are those of the version, independent of the selection and of the
    folders; later versions only append. The option `classes` chooses and orders them. `transform`
    receives the image (RGB), `target_transform` the index. `reference` and `options` are those of
    `provreg.load`. Of rows that name files, `column` is the one with the images, by default the
    only one.
    """

    def __init__(
        self,
        reference: str,
        *,
        data: Place | Sequence[Place],
        transform: Callable[[Image], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        column: str | None = None,
        **options: Unpack[LoadOptions],
    ) -> None:
        """Verifies the version (steps 1 to 11); raises as `provreg.load`, and UsageError for a
        version or selection with samples that have no class, and for a `column` of no files."""
        super().__init__(reference, data=data, transform=transform, **options)
        self.target_transform = target_transform
        self._column = None if self.verified.are_files else self._column_of_images(column)
        unlabeled = int((self.verified.targets < 0).sum())
        if unlabeled:
            raise UsageError(
                f"{unlabeled:,} samples of {self.verified.reference} have no class",
                hint="select the others with select='label is not null'; for text labels use"
                " VerifiedDataset",
            )

    @cached_property
    def classes(self) -> list[str]:
        """The classes in the order of their indices."""
        return list(self.verified.classes)

    @cached_property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class."""
        return self.verified.class_to_idx

    @cached_property
    def targets(self) -> list[int]:
        """The index of each sample's class."""
        targets: list[int] = self.verified.targets.tolist()
        return targets

    @property
    def samples(self) -> list[tuple[str, int]]:
        """(id, index of its class) of each sample; ids are paths below `data`."""
        return list(zip(self.verified.entries["id"].to_pylist(), self.targets, strict=True))

    @property
    def imgs(self) -> list[tuple[str, int]]:
        """`samples`, by ImageFolder's other name for them."""
        return self.samples

    def __add__(self, other: Any) -> Any:
        """Both, one after the other. Raises UsageError if their class indices differ."""
        check_class_indices(self, other)
        return super().__add__(other)

    def __getstate__(self) -> dict[str, Any]:
        derived = ("classes", "class_to_idx", "targets")
        return {name: value for name, value in vars(self).items() if name not in derived}

    def _column_of_images(self, column: str | None) -> str:
        names = self.verified.file_columns
        if column is None and len(names) == 1:
            return names[0]
        if column is None or column not in names:
            raise UsageError(
                f"{self.verified.reference} has several columns of files"
                if column is None
                else f"{quoted(column)} is not a column of files",
                hint=f"pass column=, one of {', '.join(map(quoted, names))}"
                if names
                else "use VerifiedDataset, whose transform gets the whole row",
            )
        return column

    def _image_bytes(self, payload: Payload, sample: str) -> bytes:
        if isinstance(payload, bytes):
            return payload
        file: dict[str, Any] | None = payload[self._column or ""]
        if file is None:
            raise InputError(
                f"{quoted(sample)} names no file in the column {quoted(self._column or '')}",
                hint="select the samples that do",
                sample=sample,
            )
        data: bytes = file["bytes"]
        return data

    def _item(self, entry: Entry, payload: Payload) -> tuple[Any, Any]:
        image: Any = decode_rgb(self._image_bytes(payload, entry.id), entry.id)
        target: Any = entry.class_index
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


class VerifiedIterableDataset(IterableDataset[Any]):
    """The samples of a version, one after the other, each as `transform` makes it of a
    `provreg.Sample`; for all data, tables too.

    Ranks and worker processes share the samples: each sample comes once, and the ranks' counts
    differ by at most one. `rank` and `world_size` default to those of `torch.distributed` or of its
    launcher (RANK, WORLD_SIZE), in the process that iterates.
    """

    def __init__(
        self,
        reference: str,
        *,
        data: Place | Sequence[Place],
        transform: Callable[[Sample], Any] | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        **options: Unpack[LoadOptions],
    ) -> None:
        """Verifies the version (steps 1 to 11); raises as `provreg.load`."""
        self.verified = load(reference, data=data, **options)
        self.transform = transform
        self._rank = _own_rank(rank, world_size)
        self.verified.ranks = self.world_size

    @property
    def rank(self) -> int:
        """The number of the rank, from 0 on."""
        return self._rank.now.number

    @property
    def world_size(self) -> int:
        """How many ranks there are."""
        return self._rank.now.of

    def __repr__(self) -> str:
        ranks = f", rank {self.rank} of {self.world_size}" if self.world_size > 1 else ""
        return f"{type(self).__name__}({self.verified.description}{ranks})"

    def __len__(self) -> int:
        return len(range(self.rank, len(self.verified), self.world_size))

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        ranks = self._rank.now
        try:
            for sample in self.verified.share(ranks.number + number * ranks.of, ranks.of * workers):
                yield sample if self.transform is None else self.transform(sample)
        except ProvregError as error:
            _carry(error)
            raise

    def verify_data(self) -> None:
        """Checks all data of the version now (step 12); raises as VerifiedDataset's."""
        self.verified.verify_data()


def _own_rank(rank: int | None, world_size: int | None) -> OwnRank:
    if rank is None and world_size is None:
        return OwnRank()
    if rank is None or world_size is None:
        raise UsageError("rank and world_size belong together", hint="pass both or neither")
    if not 0 <= rank < world_size:
        raise UsageError(f"rank {rank} is out of range for world size {world_size}")
    return OwnRank(Ranks(rank, world_size))


def _carry(error: ProvregError) -> None:
    """Prepares a worker's error: a DataLoader recreates it from its class and text alone."""
    if get_worker_info() is not None:
        error.carry()
