"""Keyless signatures: the only importer of sigstore-python (docs/guides/keyless.md).

Modules import it inside functions: it costs 0.3 s and 43 MB, which key-only use does not pay.
"""
