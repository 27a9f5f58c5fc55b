"""What a server is given when something is downloaded from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """`most` bytes a file; seconds to connect, of silence, and for a whole file.

    After a failure that may pass it is asked again, `tries` times in all, after 1, 2, 4 … `pauses`
    (seconds), or when it says, but never more than `longest` seconds later. With `private`,
    addresses of private networks are allowed.
    """

    most: int = 64 << 20
    connect: float = 10.0
    silence: float = 20.0
    whole: float = 300.0
    tries: int = 4
    pause: float = 1.0
    longest: float = 60.0
    private: bool = False
