"""Attacks on a dataset of handwritten digits, at rest and by an insider: what provreg says of each.

`python -m benchmarks.attacks` writes docs/attacks/README.md. Everything is drawn from fixed seeds.
"""
