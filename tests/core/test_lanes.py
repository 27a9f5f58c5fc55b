"""Many short values hashed at once: as the official implementation hashes them one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.each import hash_short

SOURCE = Path(__file__).parents[2] / "provreg" / "core" / "lanes.c"
HEADERS = Path(sysconfig.get_path("include"))
COMPILER = shutil.which("cc") if (HEADERS / "Python.h").is_file() else None
SANITIZERS = "address,undefined"

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
compiled = pytest.mark.skipif(hash_short is None, reason="needs a C compiler: not compiled")

# Where blocks, a chunk, and lanes begin and end.
EDGES = [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 4096]
SIZES = st.lists(st.sampled_from(EDGES) | st.integers(0, 1100), max_size=40)
CONTEXTS = st.just("") | st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


def one_by_one(data: bytes, ends: list[int], context: str) -> bytes:
    mode = {"derive_key_context": context} if context else {}
    values = (data[start:end] for start, end in pairwise(ends))
    return b"".join(
        blake3(value, **mode).digest() if len(value) <= 1024 else bytes(32) for value in values
    )


@needs_compiler
def test_lanes_are_compiled_where_there_is_a_compiler() -> None:
    assert hash_short is not None


@compiled
@given(SIZES, st.integers(0, 50), CONTEXTS)
def test_values_side_by_side_have_the_hashes_of_each(
    sizes: list[int], before: int, context: str
) -> None:
    ends = np.cumsum([before, *sizes], dtype=np.int64)
    data = np.random.default_rng(len(sizes)).bytes(int(ends[-1]) + 7)
    assert hash_short(data, ends, context.encode()) == one_by_one(data, ends.tolist(), context)


@compiled
@pytest.mark.parametrize(
    "ends", [[], [-1, 2], [0, 101], [0, 50, 49], [0, 2**62], [-(2**63), 2**63 - 1], [101], [5, 4]]
)
def test_ends_that_leave_the_data_are_refused(ends: list[int]) -> None:
    with pytest.raises(ValueError, match="within the data"):
        hash_short(bytes(100), np.array(ends, np.int64), b"")


@compiled
@pytest.mark.parametrize("ends", [b"1234567", memoryview(bytes(17))[1:]])
def test_ends_that_are_no_numbers_are_refused(ends: bytes) -> None:
    with pytest.raises(ValueError, match="within the data"):
        hash_short(bytes(100), ends, b"")


@compiled
def test_a_context_longer_than_a_chunk_is_refused() -> None:
    with pytest.raises(ValueError, match="within the data"):
        hash_short(b"", np.zeros(1, np.int64), bytes(1025))


@compiled
def test_threads_hash_beside_each_other() -> None:
    data, ends = np.random.default_rng(1).bytes(300 * 2000), np.arange(0, 600_001, 300)
    expected = one_by_one(data, ends.tolist(), "")
    with ThreadPoolExecutor(4) as threads:
        for digests in threads.map(lambda _: hash_short(data, ends, b""), range(40)):
            assert digests == expected


@pytest.mark.long
@needs_compiler
@pytest.mark.parametrize(
    "options",
    ["-O1 -g", "-O3", "-O3 -march=x86-64", "-O3 -march=x86-64-v3", "-O3 -march=native"],
)
def test_lanes_read_and_write_nothing_that_is_not_theirs(tmp_path: Path, options: str) -> None:
    """The tests of this file with a build that ends at the first wrong access."""
    package = tmp_path / "provreg"
    shutil.copytree(SOURCE.parents[1], package, ignore=shutil.ignore_patterns("*.so"))
    # Builds for one processor leave the choice between several out.
    source = tmp_path / "lanes.c"
    text = SOURCE.read_text()
    source.write_text(text.replace("defined(__GLIBC__)", "0") if "march" in options else text)
    built = package / "core" / "lanes.abi3.so"
    build = [COMPILER, *options.split(), "-shared", "-fPIC", f"-fsanitize={SANITIZERS}",
             "-fno-sanitize-recover=all", f"-I{HEADERS}", source, "-o", built]  # fmt: skip
    subprocess.run(build, check=True)
    runtime = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1",
        "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0",
    }  # fmt: skip
    for code in (f"from provreg.core import lanes; assert lanes.__file__ == {str(built)!r}",
                 f"import pytest; exit(pytest.main(['-q', {str(Path(__file__))!r}]))"):  # fmt: skip
        command = [sys.executable, "-c", code]
        subprocess.run(command, check=True, env=environment, cwd=SOURCE.parents[2])
