"""Listing folders: which files are samples, under which ids, and what is left out.

One folder: ids are POSIX paths relative to it. One file: its name. Several paths: each one's own
name comes first, so that ids stay apart. Before all of that comes a prefix, where the paths stand
for what lies in a folder of a larger one. Ids come sorted by their UTF-8 bytes.

Links to files, and to folders, are followed where their target stays inside the path they were
found under; a folder link below a followed folder link is refused (a few of them could stand for
any number of samples), and so is one that leads back to a folder it lies in.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

from provreg.core.encoding.text import printable, quoted
from provreg.errors import Finding, FindingKind, InputError, NotFoundError, ProvregError, UsageError
from provreg.readers.data_files.table_files import refuse_hugging_face
from provreg.readers.files.globs import Excluded, Globs
from provreg.readers.files.names import check_names, check_twins, is_called_like_data
from provreg.readers.files.safe_open import DEEPEST, Descent, error_for, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# Files that desktop systems leave behind.
SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Listing:
    """`runs` in the order of ids; files and folders (each once) left out, counted by reason.

    Reasons: `hidden` (a leading dot), `system` (`SYSTEM_FILES`), `registry`, `filtered` (by the
    patterns), `empty` (folders without samples, where folders with samples stand). `findings` is
    what could not be listed, where that was to be collected, and `unseen` then names, by reason,
    what others read for all that: hidden files that are called like data, and empty folders, which
    are classes to them.
    """

    runs: list[ByteRun]
    left_out: dict[str, int]
    findings: list[Finding]
    unseen: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return sum(len(run.names) for run in self.runs)


def list_samples(
    paths: Sequence[str | os.PathLike[str]],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    leave_out: Iterable[str | os.PathLike[str]] = (),
    prefix: str = "",
    collect: bool = False,
) -> Listing:
    """The samples below `paths`, as they would be listed from above the folders of `prefix`.

    `include` and `exclude` are patterns over ids (`files.globs`): taken is what matches one of
    `include`, if there are any, and none of `exclude`. Folders of `leave_out` are not entered.
    `prefix` is as `folder_prefix` returns it.

    Raises NotFoundError for a path that does not exist, UsageError for paths or patterns that make
    no sense, StorageError when the disk fails, and InputError, naming the file: for links that
    dangle or lead out, files that are not regular, names that cannot be ids, two ids that are one
    on other systems, an unpacked Hugging Face dataset, and a listing without samples. With
    `collect` everything that belongs to single files becomes a finding, and the rest is listed.
    """
    walk = _Walk(
        include=Globs(include) if include else None,
        exclude=Excluded(exclude) if exclude else None,
        leave_out=frozenset(os.path.realpath(path) for path in leave_out),
        collect=collect,
    )
    walk.check_prefix(prefix)
    runs: list[ByteRun] = []
    for start in starting_points(paths, walk.leave_out, prefix):
        runs.extend(walk.runs_below(start))
    empty = _empty(walk.entered, runs)
    if empty:
        walk.left_out["empty"] = len(empty)
    if not collect:
        check_twins((run.prefix, run.names) for run in runs)
        if not runs:
            left_out = ", ".join(f"{count} {reason}" for reason, count in walk.left_out.items())
            raise InputError(
                f"{quoted(os.fspath(paths[0]))} holds no samples",
                hint=f"left out: {left_out}" if left_out else "",
            )
    unseen = {"hidden": tuple(walk.hidden), "empty": tuple(empty)} if collect else {}
    return Listing(runs, walk.left_out, walk.findings, unseen)


@dataclass(slots=True)
class _Walk:
    """The rules of one listing, and what they turned up so far."""

    include: Globs | None
    exclude: Excluded | None
    leave_out: frozenset[str]
    collect: bool
    left_out: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def check_prefix(self, prefix: str) -> None:
        """Raises UsageError where the patterns leave out a folder of `prefix`: listed from above,
        nothing in it would be a sample."""
        if self.exclude is None:
            return
        folders = [prefix[:end] for end, character in enumerate(prefix) if character == "/"]
        both = (self.exclude.folders(folders), self.exclude.mistaken(folders))
        for folder in compress(folders, map(any, zip(*both, strict=True))):
            raise UsageError(
                f"the patterns of --exclude leave out the folder {quoted(folder)} of --prefix",
                hint="pass another --prefix, or the --exclude patterns that shall hold from now on",
            )

    def runs_below(self, start: Folder | ByteRun) -> list[ByteRun]:
        """The runs of one starting point, in the order of ids."""
        if isinstance(start, ByteRun):
            prefix, names = start.prefix, start.names
            kept = self._included(prefix, self._kept(prefix, names, self._excluded_files))
            return [start] if kept else []
        runs: list[ByteRun] = []
        pending: list[Folder | ByteRun] = [start]
        with _descent(start.root) as descent:
            while pending:
                item = pending.pop()
                if isinstance(item, ByteRun):
                    runs.append(item)
                    continue
                if item.prefix:
                    self.entered.append(item.prefix)
                try:
                    pending.extend(reversed(self._inside(item, descent)))
                except OSError as error:
                    self._refuse(
                        item.prefix or item.root, error_for(error, item.prefix or item.root)
                    )
        return runs

    def _inside(self, folder: Folder, descent: Descent) -> list[Folder | ByteRun]:
        """The runs and folders right inside `folder`, in the order of their ids."""
        files: list[str] = []
        folders: list[str] = []
        links: list[str] = []
        others: list[str] = []
        with os.scandir(descent.folder(folder.folder)) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    (links if entry.is_symlink() else others).append(entry.name)
        if not folder.folder and not self.collect:
            refuse_hugging_face(folder.root, files, folders)
        prefix, place = folder.prefix, f"{join(folder.root, folder.folder)}/"
        if self.collect:
            self._note_hidden(prefix, place, files, [*folders, *links])
        files, others = (
            self._kept(prefix, names, self._excluded_files) for names in (files, others)
        )
        folders = self._kept(prefix, folders, self._excluded_folders)
        # What a link is decides which patterns are asked.
        to_folders = {name for name in links if os.path.isdir(place + name)}  # noqa: PTH112
        to_files = [name for name in links if name not in to_folders]
        links = self._kept(prefix, sorted(to_folders), self._excluded_folders)
        links += self._kept(prefix, to_files, self._excluded_files)
        files = self._included(prefix, files)
        for name in others:
            sample = folder.prefix + name
            self._refuse(sample, InputError(f"{quoted(sample)} is not a regular file"))
        # Keyed as ids sort: a folder's name counts with the slash that follows it.
        special: dict[str, Folder | ByteRun] = {}
        for name in folders:
            below = Folder(
                folder.root, f"{folder.prefix}{name}/", join(folder.folder, name), folder.linked
            )
            if entered := self._entered(below):
                special[f"{name}/"] = entered
        for name in links:
            followed = self._follow(folder, name)
            if followed is not None:
                special[name if isinstance(followed, ByteRun) else f"{name}/"] = followed
        return _interleaved(folder, sorted(files), special)

    def _kept(
        self, prefix: str, names: list[str], excluded: Callable[[list[str]], list[bool]]
    ) -> list[str]:
        """Those of `names`, all in one folder, that are neither left out nor impossible."""
        kept = [name for name in names if name[0] != "." and name not in SYSTEM_FILES]
        if len(kept) < len(names):
            system = sum(name in SYSTEM_FILES for name in names)
            self._leave_out("system", system)
            self._leave_out("hidden", len(names) - len(kept) - system)
        if kept and self.exclude:
            matched = excluded([prefix + name for name in kept])
            kept = list(compress(kept, [not found for found in matched]))
            self._leave_out("filtered", sum(matched))
        problems = check_names(prefix, kept)
        for name, problem in problems.items():
            error = InputError(problem, hint="rename it, or leave it out with --exclude")
            self._refuse(prefix + name, error, kind="stranger")
        return [name for name in kept if name not in problems] if problems else kept

    def _excluded_files(self, ids: list[str]) -> list[bool]:
        return self.exclude.files(ids) if self.exclude else [False] * len(ids)

    def _excluded_folders(self, ids: list[str]) -> list[bool]:
        """Whether each folder is left out; one that is named as a file is refused."""
        if self.exclude is None:
            return [False] * len(ids)
        mistaken = self.exclude.mistaken(ids)
        for sample in compress(ids, mistaken):
            self._refuse(sample, excluded_folder_error(sample), kind="stranger")
        both = zip(mistaken, self.exclude.folders(ids), strict=True)
        return [refused or left_out for refused, left_out in both]

    def _note_hidden(
        self, prefix: str, place: str, files: Iterable[str], folders: Iterable[str]
    ) -> None:
        """Keeps the names of hidden files that are called like data."""
        names = [name for name in files if name.startswith(".")]
        for name in folders:
            if name.startswith(".") and not lies_in(place + name, self.leave_out):
                names += (name + inside for inside in _files_below(place + name))
        self.hidden += (prefix + name for name in names if is_called_like_data(name))

    def _included(self, prefix: str, names: list[str]) -> list[str]:
        """Those of `names`, all of files in one folder, that the patterns ask for."""
        if not names or self.include is None:
            return names
        matched = self.include.matching([prefix + name for name in names])
        kept = list(compress(names, matched))
        self._leave_out("filtered", len(names) - len(kept))
        return kept

    def _follow(self, folder: Folder, name: str) -> Folder | ByteRun | None:
        """What the link `name` in `folder` stands for; None where it is refused or left out."""
        sample = folder.prefix + name
        link = f"{join(folder.root, folder.folder)}/{name}"
        try:
            target, leads_to_folder = resolve(folder.root, link, sample)
            if leads_to_folder and folder.linked:
                text = f"{quoted(sample)} is a link to a folder, below another such link"
                raise InputError(text)
        except InputError as error:
            self._refuse(sample, error)
            return None
        if leads_to_folder:
            return self._entered(Folder(folder.root, f"{sample}/", target, linked=True))
        where, _, file = target.rpartition("/")
        if self._is_registry(join(folder.root, where)):
            return None
        if not self._included(folder.prefix, [name]):
            return None
        return ByteRun(folder.root, folder.prefix, [name], where, [file])

    def _entered(self, folder: Folder) -> Folder | None:
        """`folder`, or None where it is refused or left out."""
        if folder.prefix.count("/") > DEEPEST:
            text = f"{quoted(folder.prefix)} lies more than {DEEPEST} folders deep"
            self._refuse(folder.prefix, InputError(text))
            return None
        return None if self._is_registry(join(folder.root, folder.folder)) else folder

    def _is_registry(self, path: str) -> bool:
        """Whether the folder at `path` is one to leave out, or inside one."""
        found = lies_in(path, self.leave_out)
        self._leave_out("registry", found)
        return found

    def _leave_out(self, reason: str, count: int) -> None:
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def _refuse(
        self, sample: str, error: ProvregError, *, kind: FindingKind = "unreadable"
    ) -> None:
        if not self.collect:
            error.sample = sample
            raise error
        self.findings.append(Finding(kind, printable(sample)))


def excluded_folder_error(sample: str) -> InputError:
    """What to raise for a folder that a pattern names which stands for files."""
    return InputError(
        f"{quoted(sample)} is a folder, and --exclude names it as a file",
        hint=f"to leave out all that is in it: --exclude {quoted(f'/{sample}/')}",
        sample=sample,
    )


def _files_below(path: str) -> Iterator[str]:
    """The files at and below `path`, a folder, file or link, as what follows it."""
    if not os.path.isdir(path):  # noqa: PTH112
        yield ""
    for place, _, names in os.walk(path):
        yield from (f"{place[len(path) :]}/{name}" for name in names)


def _empty(entered: Sequence[str], runs: Sequence[ByteRun]) -> list[str]:
    """Those of `entered`, prefixes of folders, that hold no sample and stand where a class could:
    beside folders that do, and neither beside samples nor in another of them."""
    direct = {run.prefix for run in runs}
    full = {""}
    for prefix in direct:
        folder = prefix
        while folder not in full:
            full.add(folder)
            folder = _above(folder)
    above = ((folder, _above(folder)) for folder in entered if folder not in full)
    return sorted(folder for folder, parent in above if parent in full and parent not in direct)


def _above(prefix: str) -> str:
    """The prefix of the folder in which the folder of `prefix` lies."""
    return prefix[: prefix.rfind("/", 0, -1) + 1]


def _descent(root: str) -> Descent:
    try:
        return Descent(root)
    except OSError as error:
        raise error_for(error, root) from None


def _interleaved(
    folder: Folder, files: list[str], special: dict[str, Folder | ByteRun]
) -> list[Folder | ByteRun]:
    """`files`, sorted, cut into runs between the folders and links of the same folder."""
    found: list[Folder | ByteRun] = []
    begin = 0
    for key in [*sorted(special), None]:
        end = len(files) if key is None else bisect_left(files, key, begin)
        if begin < end:
            names = files[begin:end]
            found.append(ByteRun(folder.root, folder.prefix, names, folder.folder, names))
        if key is not None:
            found.append(special[key])
        begin = end
    return found


@dataclass(frozen=True, slots=True)
class ByteRun:
    """Samples with neighbouring ids whose files lie in one folder.

    The id of a sample is `prefix` + its name; its file is `root`/`folder`/its file name. Names and
    file names, and prefix and folder, differ below links only: `folder` never contains one.
    """

    root: str
    prefix: str
    names: list[str]
    folder: str
    files: list[str]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to list: its ids begin with `prefix`, it lies at `folder` below `root`."""

    root: str
    prefix: str
    folder: str
    linked: bool = False


def folder_prefix(folder: str) -> str:
    """What the ids of files in `folder` of a larger folder begin with: its path, and a slash.

    Raises UsageError for a path that no listing of the larger folder would have: absolute, empty,
    with `.` or `..`, hidden, or not to be in ids.
    """
    path = folder.removesuffix("/")
    segments = path.split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        raise UsageError(
            f"--prefix {quoted(folder)} is not a path below a folder",
            hint="write it as ids begin, without `.` and `..`: --prefix night-002/images/",
        )
    for segment in segments:
        if segment.startswith(".") or segment in SYSTEM_FILES:
            raise UsageError(
                f"--prefix {quoted(folder)} leads into {quoted(segment)}, which is always excluded",
                hint="choose a name without a leading dot",
            )
    if len(segments) > DEEPEST:
        raise UsageError(f"--prefix {quoted(folder)} is more than {DEEPEST} folders deep")
    for problem in check_names("", [path]).values():
        raise UsageError(f"--prefix {problem}")
    return f"{path}/"


def starting_points(
    paths: Sequence[str | os.PathLike[str]], leave_out: frozenset[str], prefix: str = ""
) -> list[Folder | ByteRun]:
    """What each path stands for, in the order of ids; these begin with `prefix`.

    Raises NotFoundError, UsageError and InputError as `readers.files.walk.list_samples` says.
    """
    if not paths:
        raise UsageError("no path was given")
    starts: dict[str, Folder | ByteRun] = {}
    for argument in paths:
        path = os.fspath(argument)
        name = os.path.basename(os.path.abspath(path))  # noqa: PTH100, PTH119
        try:
            real = os.path.realpath(path, strict=True)
            mode = os.stat(real).st_mode  # noqa: PTH116
        except OSError:
            raise NotFoundError(f"{quoted(path)} does not exist or cannot be reached") from None
        if real == "/":
            raise UsageError(f"{quoted(path)} is the whole file system")
        if lies_in(real, leave_out):
            raise UsageError(f"{quoted(path)} lies inside the registry")
        start: Folder | ByteRun
        if stat.S_ISDIR(mode):
            below = f"{prefix}{name}/" if len(paths) > 1 else prefix
            key, start = f"{name}/", Folder(real, below, "")
        elif stat.S_ISREG(mode):
            folder, _, file = real.rpartition("/")
            key, start = name, ByteRun(folder or "/", prefix, [name], "", [file])
        else:
            raise InputError(f"{quoted(path)} is neither a folder nor a regular file", sample=path)
        for problem in check_names(prefix, [name] if len(paths) > 1 else []).values():
            raise InputError(problem, sample=path)
        if key in starts:
            raise UsageError(
                f"several paths are named {quoted(name)}",
                hint="ids begin with the last name of each path: give the folder that holds them"
                " all; `ingest` can also add them one by one, with --append --prefix FOLDER",
            )
        starts[key] = start
    return [starts[key] for key in sorted(starts)]


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`, where either may be empty."""
    return f"{folder}/{name}" if folder and name else folder or name


def lies_in(path: str, folders: frozenset[str]) -> bool:
    """Whether `path` is one of `folders` or below one."""
    return any(f"{path}/".startswith(f"{folder}/") for folder in folders)
