"""A first policy file, to be edited (`provreg policy init`)."""

from __future__ import annotations

import re

from provreg.core.policy_document import MAX_PEM, PEM, PRINCIPAL_NAME
from provreg.core.text import quoted
from provreg.errors import UsageError

_STARTER = """\
# Who may do what with which datasets, as this machine's user decides it (docs/policy.md).
# `provreg policy check` says in words what this file allows.
format = "provreg.policy/v1"

# A principal is a person or a pipeline. All their keys and identities speak with one voice.
[[principal]]
name = "{name}"
keys = ['''
{pem}''']

# The first rule that covers a dataset decides. What no rule covers is refused.
[[publish]]
datasets = ["*"]          # names; * is any run of characters, ? any one
principals = ["{name}"]
threshold = 1             # how many of the principals must have signed a version

# Who may revoke versions and samples of them (docs/incident.md).
[[revoke]]
datasets = ["*"]
principals = ["{name}"]

# Whose receipts of training runs count (docs/receipts.md).
[[train]]
datasets = ["*"]
principals = ["{name}"]
"""


def starter_policy(pem: str, name: str) -> str:
    """The TOML of a policy by which the holder of `pem`, called `name`, may publish everything.

    Raises UsageError for a name or key that a policy could not hold: neither can write anything
    else into the file.
    """
    if re.fullmatch(PRINCIPAL_NAME, name) is None:
        raise UsageError(
            f"{quoted(name)} is not a principal's name",
            hint="use 1 to 64 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit",
        )
    if len(pem) > MAX_PEM or PEM.fullmatch(pem) is None:
        raise UsageError("that is not one public key in PEM", hint="give the .pub file")
    return _STARTER.format(name=name, pem=pem.strip().replace("\r", "") + "\n")
