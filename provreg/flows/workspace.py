"""One registry, and what this user keeps about it: state, cache and index."""

from __future__ import annotations
