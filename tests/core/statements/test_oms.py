"""OMS statements are those model_signing reads; what it accepts, tests/interop asks itself."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.statements.oms import oms_statement
from provreg.errors import FormatError

A, B, C = (hashlib.sha256(letter).digest() for letter in (b"a", b"b", b"c"))


def test_statement_has_these_bytes() -> None:
    assert oms_statement("pets", [("cat/1.jpg", A)]) == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"resources":[{"algorithm":"sha256",'
        b'"digest":"' + A.hex().encode() + b'","name":"cat/1.jpg"}],"serialization":'
        b'{"allow_symlinks":false,"hash_type":"sha256","method":"files"}},'
        b'"predicateType":"https://model_signing/signature/v1.0","subject":[{"digest":{"sha256":"'
        + hashlib.sha256(A).hexdigest().encode()
        + b'"},"name":"pets"}]}'
    )


def test_files_are_ordered_by_the_parts_of_their_paths() -> None:
    statement = json.loads(oms_statement("m", [("a.b", A), ("a/z", B), ("a", C)]))
    assert [item["name"] for item in statement["predicate"]["resources"]] == ["a", "a/z", "a.b"]
    assert statement["subject"][0]["digest"]["sha256"] == hashlib.sha256(C + B + A).hexdigest()


@given(st.permutations([("a.b", A), ("a/z", B), ("a", C), ("é/x", A), ("z", B)]))
def test_order_of_files_does_not_change_the_statement(files: list[tuple[str, bytes]]) -> None:
    assert oms_statement("m", files) == oms_statement("m", sorted(files))


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "/etc/passwd", "../x", "a/../x", "a/./x", "a//x", "a/", "a/..", "a\\x", "a\0"],
)
def test_path_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(FormatError, match="not a path below its folder"):
        oms_statement("m", [("a.jpg", A), (path, B)])


@pytest.mark.parametrize("path", ["...", "..a", ".a", "a..", "a/.b/..c", "a\nb", " "])
def test_odd_path_is_taken(path: str) -> None:
    statement = json.loads(oms_statement("m", [(path, A)]))
    assert statement["predicate"]["resources"][0]["name"] == path


def test_path_that_stands_twice_is_refused() -> None:
    with pytest.raises(FormatError, match="duplicate path: 'a'"):
        oms_statement("m", [("a", A), ("b", B), ("a", C)])


def test_folder_without_files_is_refused() -> None:
    with pytest.raises(FormatError, match="has no files"):
        oms_statement("m", [])


def test_digest_that_is_no_sha256_is_refused() -> None:
    with pytest.raises(FormatError, match="the SHA-256 of 'a' does not"):
        oms_statement("m", [("a", A[:31])])


def test_path_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(FormatError):
        oms_statement("m", [("a\udcff", A)])
