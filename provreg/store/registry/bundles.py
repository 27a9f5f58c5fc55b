"""Bundles under a prefix, each named by its own SHA-256: anybody may add one, none is believed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import quoted
from provreg.errors import DamagedError, InputError, NotFoundError
from provreg.store.backends.api import Backend
from provreg.store.layout import digest_of_key
from provreg.store.registry.objects import create_or_match

MAX_BUNDLE_BYTES = 256 << 10
MAX_BUNDLES = 1000


def add_bundle(store: Backend, key_of: Callable[[str], str], bundle: bytes) -> str:
    """Stores `bundle` under the key that `key_of` makes of its written SHA-256, which is returned.

    Twice is once. Raises InputError for more than 256 KiB, DamagedError where other bytes took its
    place.
    """
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise InputError(
            f"the bundle has {len(bundle)} bytes, more than the {MAX_BUNDLE_BYTES} allowed",
            hint="sign again: a bundle is a few kilobytes",
        )
    digest = sha256_digest(bundle)
    create_or_match(store, key_of(digest), bundle)
    return digest


def read_bundles(
    store: Backend, prefix: str, report: Callable[[str], None], *, of: str
) -> Iterator[tuple[str, bytes]]:
    """(written SHA-256, bundle) of at most 1,000 bundles under `prefix`, by digest.

    Those whose bytes are not those of their name are passed over. Nothing is verified. `of` says
    in a report whose signatures they are.
    """
    try:
        keys = heapq.nsmallest(MAX_BUNDLES + 1, store.list(prefix))
    except DamagedError as error:
        # A file in the folder's place, which anybody may have put there, is no signature either.
        report(f"{error.message}: there are no signatures of {of}")
        return
    if len(keys) > MAX_BUNDLES:
        report(f"{of} has more than {MAX_BUNDLES} signatures: the rest is ignored")
    for key in keys[:MAX_BUNDLES]:
        try:
            digest = digest_of_key(key)
            bundle = store.read(key, MAX_BUNDLE_BYTES)
        except (DamagedError, NotFoundError) as error:
            report(f"{error.message}: the signature is ignored")
            continue
        if sha256_digest(bundle) == digest:
            yield digest, bundle
        else:
            report(
                f"the bytes in {quoted(store.where(key))} are not those of its name: the"
                " signature is ignored"
            )
