"""The template of a policy file (`provreg policy init`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from provreg.core.encoding.text import quoted
from provreg.core.policy.identities import EXACT_TEXT
from provreg.core.policy.parser import MAX_PEM, PEM, PRINCIPAL_NAME
from provreg.errors import UsageError

_TEMPLATE = """\
# Who may do what with which datasets, as this machine's user decides it (docs/reference/policy.md).
# `provreg policy check` explains this file in words.
format = "provreg.policy/v1"

# A principal is a person or a pipeline. All its keys and identities count once.
{principals}
# The first rule that covers a dataset decides. Datasets without a rule are refused.
[[publish]]
datasets = ["*"]          # names; * is any run of characters, ? any one
principals = [{names}]
threshold = {threshold}             # how many of the principals must have signed a version

# Who may revoke versions and samples of them (docs/guides/incident.md).
[[revoke]]
datasets = ["*"]
principals = [{names}]

# Whose receipts of training runs count (docs/guides/receipts.md).
[[train]]
datasets = ["*"]
principals = [{names}]
"""


def starter_policy(principals: Mapping[str, str], *, threshold: int = 1) -> str:
    """The TOML of a policy by which `threshold` of the principals may publish everything.

    `principals` are their tables, as `principal_table` writes them, by name.
    """
    if not 1 <= threshold <= len(principals):
        raise UsageError(
            f"a threshold of {threshold} is out of range: expected 1 to {len(principals)}, the"
            " number of principals"
        )
    names = ", ".join(f'"{name}"' for name in principals)
    tables = "\n".join(principals.values())
    return _TEMPLATE.format(principals=tables, names=names, threshold=threshold)


def principal_table(
    name: str, *, pem: str | None = None, identity: str | None = None, issuer: str | None = None
) -> str:
    """The TOML of the principal `name`, who signs with the key in `pem`, as `identity` of `issuer`,
    or both.

    Raises UsageError for a name, key or identity that is invalid in a policy, so that none can
    inject TOML.
    """
    check_principal_name(name)
    credentials = ""
    if pem is not None:
        if len(pem) > MAX_PEM or PEM.fullmatch(pem) is None:
            raise UsageError("not a single PEM public key", hint="pass the .pub file")
        credentials += "\n".join([*key_lines(pem), ""])
    if identity is not None or issuer is not None:
        credentials += _identity(identity or "", issuer or "")
    if not credentials:
        raise UsageError(
            "a policy needs a key or an identity",
            hint="pass --key FILE.pub, or --identity and --issuer",
        )
    return f'[[principal]]\nname = "{name}"\n{credentials}'


def key_lines(pem: str) -> list[str]:
    """The lines of a principal with the public key in `pem`."""
    return ["keys = ['''", *pem.strip().replace("\r", "").split("\n"), "''']"]


def check_principal_name(name: str) -> None:
    """Raises UsageError unless `name` can be a principal's."""
    if re.fullmatch(PRINCIPAL_NAME, name) is None:
        raise UsageError(
            f"{quoted(name)} is not a principal's name",
            hint="use 1 to 64 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit",
        )


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
