"""A first policy file, to be edited (`provreg policy init`)."""

from __future__ import annotations

import json
import re

from provreg.core.encoding.text import quoted
from provreg.core.policy.identities import EXACT_TEXT
from provreg.core.policy.parser import MAX_PEM, PEM, PRINCIPAL_NAME
from provreg.errors import UsageError

_STARTER = """\
# Who may do what with which datasets, as this machine's user decides it (docs/reference/policy.md).
# `provreg policy check` says in words what this file allows.
format = "provreg.policy/v1"

# A principal is a person or a pipeline. All their keys and identities speak with one voice.
[[principal]]
name = "{name}"
{means}
# The first rule that covers a dataset decides. What no rule covers is refused.
[[publish]]
datasets = ["*"]          # names; * is any run of characters, ? any one
principals = ["{name}"]
threshold = 1             # how many of the principals must have signed a version

# Who may revoke versions and samples of them (docs/guides/incident.md).
[[revoke]]
datasets = ["*"]
principals = ["{name}"]

# Whose receipts of training runs count (docs/guides/receipts.md).
[[train]]
datasets = ["*"]
principals = ["{name}"]
"""


def starter_policy(
    name: str, *, pem: str | None = None, identity: str | None = None, issuer: str | None = None
) -> str:
    """The TOML of a policy by which `name` may publish everything.

    They sign with the key in `pem`, or as `identity` vouched for by `issuer`, or both ways. Raises
    UsageError for a name, key or identity that a policy could not hold: none can write anything
    else into the file.
    """
    if re.fullmatch(PRINCIPAL_NAME, name) is None:
        raise UsageError(
            f"{quoted(name)} is not a principal's name",
            hint="use 1 to 64 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit",
        )
    means = ""
    if pem is not None:
        if len(pem) > MAX_PEM or PEM.fullmatch(pem) is None:
            raise UsageError("that is not one public key in PEM", hint="give the .pub file")
        block = pem.strip().replace("\r", "")
        means += f"keys = ['''\n{block}\n''']\n"
    if identity is not None or issuer is not None:
        means += _identity(identity or "", issuer or "")
    if not means:
        raise UsageError(
            "a policy trusts somebody by a key or an identity",
            hint="pass --key FILE.pub, or --identity and --issuer",
        )
    return _STARTER.format(name=name, means=means)


def _identity(identity: str, issuer: str) -> str:
    for what, text in (("identity", identity), ("issuer", issuer)):
        if EXACT_TEXT.fullmatch(text) is None:
            raise UsageError(
                f"{quoted(text)} is not an {what}",
                hint="pass --identity with --issuer, both without spaces: anyone can run an issuer"
                " that vouches for any identity",
            )
    # In TOML as in JSON, for what an exact text may hold.
    said, by = (json.dumps(text, ensure_ascii=False) for text in (identity, issuer))
    return f"identities = [{{ identity = {said}, issuer = {by} }}]\n"
