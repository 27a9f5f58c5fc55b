"""The benchmark command: `python -m benchmarks` (docs/reference/performance.md)."""
