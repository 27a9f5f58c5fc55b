"""The benchmark command: `python -m benchmarks` (docs/performance.md)."""
