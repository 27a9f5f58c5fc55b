"""The template of a policy file (`provreg policy init`)."""

from __future__ import annotations

import json
import re

from provreg.core.encoding.text import quoted
from provreg.core.policy.identities import EXACT_TEXT
from provreg.core.policy.parser import MAX_PEM, PEM, PRINCIPAL_NAME
from provreg.errors import UsageError

_TEMPLATE = """\
# Who may do what with which datasets, as this machine's user decides it (docs/reference/policy.md).
# `provreg policy check` explains this file in words.
format = "provreg.policy/v1"

# A principal is a person or a pipeline. All its keys and identities count once.
[[principal]]
name = "{name}"
{credentials}
# The first rule that covers a dataset decides. Datasets without a rule are refused.
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

    `name` signs with the key in `pem`, as `identity` of `issuer`, or both. Raises UsageError for a
    name, key or identity that is invalid in a policy, so that none can inject TOML.
    """
    if re.fullmatch(PRINCIPAL_NAME, name) is None:
        raise UsageError(
            f"{quoted(name)} is not a principal's name",
            hint="use 1 to 64 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit",
        )
    credentials = ""
    if pem is not None:
        if len(pem) > MAX_PEM or PEM.fullmatch(pem) is None:
            raise UsageError("not a single PEM public key", hint="pass the .pub file")
        block = pem.strip().replace("\r", "")
        credentials += f"keys = ['''\n{block}\n''']\n"
    if identity is not None or issuer is not None:
        credentials += _identity(identity or "", issuer or "")
    if not credentials:
        raise UsageError(
            "a policy needs a key or an identity",
            hint="pass --key FILE.pub, or --identity and --issuer",
        )
    return _TEMPLATE.format(name=name, credentials=credentials)


def _identity(identity: str, issuer: str) -> str:
    for what, text in (("identity", identity), ("issuer", issuer)):
        if EXACT_TEXT.fullmatch(text) is None:
            raise UsageError(
                f"not a valid {what}: {quoted(text)}",
                hint="pass --identity with --issuer, both without spaces: anyone can run an issuer"
                " that vouches for any identity",
            )
    # For the characters of an exact text, strings are the same in TOML and JSON.
    exact, by = (json.dumps(text, ensure_ascii=False) for text in (identity, issuer))
    return f"identities = [{{ identity = {exact}, issuer = {by} }}]\n"
