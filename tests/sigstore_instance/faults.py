"""What can be wrong with an instance, by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A service that answers, and lies.
LIES = (
    "bad-sct",
    "certificate-for-another-key",
    "checkpoint-of-another-tree",
    "expired-certificate",
    "identity-of-another-issuer",
    "inclusion-proof-off-by-one",
    "timestamp-of-other-bytes",
    "timestamp-outside-authority",
    "timestamp-outside-certificate",
    "wrong-log-key",
)
# What sigstore-python's client does not look at, and ours for signatures with a key does.
TIMESTAMP_LIES = ("timestamp-of-another-request",)
# Tokens that their issuer should not have made, or that came too late.
TOKENS = ("expired-token", "token-for-another-audience")
SERVICES = ("fulcio", "rekor", "tsa")
# A service that does not answer as it should: any of them with `service:` before it.
BREAKDOWNS = ("500", "drips", "garbage", "hangs", "hangs-up", "truncated")
NAMES = frozenset(
    {
        *LIES,
        *TIMESTAMP_LIES,
        *TOKENS,
        *(f"{service}:{how}" for service in (*SERVICES, "oidc") for how in BREAKDOWNS),
    }
)


class Faults:
    """The faults that are in force. Servers in other threads ask for them."""

    def __init__(self) -> None:
        self._active: set[str] = set()
        # Set while nothing may hang: a hanging answer waits for it.
        self.released = threading.Event()

    def __contains__(self, name: str) -> bool:
        if name not in NAMES:
            raise KeyError(name)
        return name in self._active

    @contextmanager
    def inject(self, *names: str) -> Iterator[None]:
        """These faults, until the block ends."""
        if unknown := set(names) - NAMES:
            raise KeyError(*unknown)
        self._active.update(names)
        self.released.clear()
        try:
            yield
        finally:
            self._active.difference_update(names)
            self.released.set()

    def breakdown(self, service: str) -> str | None:
        """How `service` is broken, if it is."""
        return next((how for how in BREAKDOWNS if f"{service}:{how}" in self._active), None)
