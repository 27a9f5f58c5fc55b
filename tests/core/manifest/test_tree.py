from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.core.manifest.head import root_of_parts
from provreg.core.manifest.leaf import CLAIM_CONTEXT, LEAF_CONTEXT, leaves
from provreg.core.manifest.tree import (
    BLOCK_MAX_ENTRIES,
    BLOCK_MAX_ID_BYTES,
    BLOCK_MIN_ENTRIES,
    BlockList,
    block_list,
    closes_part,
    cut,
)
from provreg.errors import FormatError
from tests.parts import build_parts


def ids(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(sorted(texts, key=str.encode), pa.string())])


def fields(*items: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<BI", number, len(value)) + value for number, value in items)


def test_a_leaf_is_the_hash_of_its_fields_as_specified(make_entries) -> None:
    entry = make_entries(
        [{"id": "a", "payload": "x", "label": "cat", "source": "s", "labeler": "l", "split": "t",
          "attrs": "{}"}]
    )  # fmt: skip
    claim = blake3(derive_key_context=CLAIM_CONTEXT)
    content = fields((1, blake3(b"x").digest()), (2, struct.pack("<Q", 1)))
    claim.update(content + fields((3, b"cat"), (5, b"l")))
    leaf = blake3(derive_key_context=LEAF_CONTEXT)
    leaf.update(fields((1, b"a"), (2, claim.digest()), (3, b"s"), (5, b"t"), (8, b"{}")))
    assert leaves(entry) == leaf.digest()


def test_annotations_are_bound_one_by_one(make_entries) -> None:
    notes = [{"label": "cat", "labeler": "ann", "labeled_at": None}, {"label": "dog"}]
    entries = make_entries([{"id": "a", "payload": "x", "annotations": notes}, {"id": "b"}])
    first = fields((1, b"cat"), (2, b"ann"))
    second = fields((1, b"dog"))
    encoded = b"".join(
        [struct.pack("<I", 2), *(struct.pack("<I", len(n)) + n for n in (first, second))]
    )
    claim = blake3(derive_key_context=CLAIM_CONTEXT)
    claim.update(fields((1, blake3(b"x").digest()), (2, struct.pack("<Q", 1)), (7, encoded)))
    leaf = blake3(derive_key_context=LEAF_CONTEXT)
    leaf.update(fields((1, b"a"), (2, claim.digest()), (3, b"s")))
    assert leaves(entries)[:32] == leaf.digest()


CHANGED = {
    "id": "b", "payload": "y", "label": "dog", "source": "t", "labeler": "m", "split": "u",
    "uri": "http://x", "attrs": '{"a":1}', "labeled_at": 1, "delivery": b"d" * 32,
    "content_sha256": b"s" * 32, "annotations": [{"label": "x"}], "size": 9,
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGED)
def test_every_field_is_bound_by_the_leaf(make_entries, field: str) -> None:
    row = {"id": "a", "payload": "x", "label": "cat"}
    assert leaves(make_entries([row])) != leaves(make_entries([row | {field: CHANGED[field]}]))


def test_null_and_empty_text_have_different_leaves(make_entries) -> None:
    assert leaves(make_entries([{"id": "a", "label": ""}])) != leaves(make_entries([{"id": "a"}]))


def test_a_text_moved_between_neighbouring_fields_changes_the_leaf(make_entries) -> None:
    one = make_entries([{"id": "a", "source": "s", "split": "xy"}])
    two = make_entries([{"id": "a", "source": "sx", "split": "y"}])
    assert leaves(one) != leaves(two)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31), st.integers(1, 4))
def test_leaves_do_not_depend_on_slicing_or_dictionaries(chunks, seed, modulus) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 300))
    from provreg.core.manifest.entry import ENTRY

    rows = [
        {"id": f"{i:05}", "content": bytes([i % 256]) * 32, "size": i, "source": f"s{i % modulus}",
         "label": None if i % 3 == 0 else f"l{i % 7}"}
        for i in range(count)
    ]  # fmt: skip
    whole = pa.Table.from_pylist(rows, schema=ENTRY)
    cuts = sorted(int(x) for x in rng.integers(0, count, chunks))
    pieces = [
        pa.Table.from_pylist(rows[a:b], schema=ENTRY)
        for a, b in zip([0, *cuts], [*cuts, count], strict=True)
    ]
    assert leaves(pa.concat_tables(pieces)) == leaves(whole)
    assert leaves(whole.slice(cuts[0])) == leaves(whole)[32 * cuts[0] :]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4000))
def test_every_block_keeps_its_minimum_and_maximum(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    names = ids([f"{value:x}" for value in set(rng.integers(0, 2**40, count).tolist())])
    sizes = np.diff(cut(names).blocks, prepend=0)
    assert sizes.sum() == len(names)
    assert (sizes <= BLOCK_MAX_ENTRIES).all()
    assert (sizes[:-1] >= BLOCK_MIN_ENTRIES).all()


def test_long_ids_close_a_block_by_their_bytes() -> None:
    names = ids([f"{number:04}" + "x" * 4000 for number in range(100)])
    sizes = np.diff(cut(names).blocks, prepend=0)
    assert (sizes[:-1] == -(-BLOCK_MAX_ID_BYTES // 4004)).all()


def test_ids_chosen_never_to_cut_only_reach_the_maximum() -> None:
    import zlib

    never = [
        name
        for name in (f"evil-{number:07}" for number in range(9000))
        if (zlib.crc32(name.encode()) * 0x9E3779B1) % 2**32 >= 2**32 // 192
    ]
    sizes = np.diff(cut(ids(never)).blocks, prepend=0)
    assert (sizes[:-1] == BLOCK_MAX_ENTRIES).all()


def test_an_insertion_changes_only_the_blocks_around_it() -> None:
    names = [f"{number:08}.jpg" for number in range(20000)]
    before = set(cut(ids(names)).blocks.tolist())
    after = set((cut(ids([*names, "00010000.jpg.x"])).blocks - 1).tolist())
    common = {end for end in before if end > 10000 + 8 * BLOCK_MAX_ENTRIES}
    assert common <= after


def test_parts_end_where_their_own_ids_say() -> None:
    names = ids([f"{number:07}" for number in range(200_000)])
    cuts = cut(names)
    ends = cuts.blocks[cuts.parts - 1].tolist()
    assert len(ends) > 1
    for start, end in zip([0, *ends], ends[:-1], strict=False):
        assert closes_part(names.slice(start, end - start))
        assert len(cut(names.slice(start, end - start)).parts) == 1
    assert not closes_part(names.slice(0, ends[0] - 1))


def test_the_root_binds_counts_and_order() -> None:
    one, two = "blake3:" + "11" * 32, "blake3:" + "22" * 32
    roots = {
        root_of_parts([(1, one)]),
        root_of_parts([(2, one)]),
        root_of_parts([(1, one), (1, two)]),
        root_of_parts([(1, two), (1, one)]),
        root_of_parts([(2, one), (1, two)]),
    }
    assert len(roots) == 5


def test_block_list_survives_writing_and_reading(make_entries) -> None:
    part = next(build_parts(make_entries([{"id": f"{n:04}"} for n in range(700)])))
    data = part.blocks.to_bytes()
    assert BlockList.from_bytes(data).to_bytes() == data
    assert len(part.blocks.counts) > 1


def test_block_list_rejects_every_flipped_bit_in_its_header_and_counts() -> None:
    blocks = block_list(bytes(32 * 100), np.array([100]))
    data = blocks.to_bytes()
    for place in range(len(data) - 32):
        for bit in range(8):
            wrong = bytearray(data)
            wrong[place] ^= 1 << bit
            with pytest.raises(FormatError):
                BlockList.from_bytes(bytes(wrong))


@given(st.binary(max_size=200))
def test_block_list_parsing_raises_our_errors_only(data: bytes) -> None:
    with pytest.raises(FormatError):
        BlockList.from_bytes(data)
