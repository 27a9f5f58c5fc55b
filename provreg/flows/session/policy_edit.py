"""Changes of a policy file by command: refused where they are ambiguous, written at once."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provreg.core.encoding.text import quoted
from provreg.core.policy.policy import Policy, Principal, Rule
from provreg.errors import NotFoundError, UsageError
from provreg.flows.session.trust import PolicyFile, parse_policy_file, read_policy_file
from provreg.store.files import replace_file, storage_error


@dataclass(frozen=True, slots=True)
class PolicyEdit:
    """A policy file and what it is to become. `path` has its links resolved."""

    path: Path
    before: bytes
    after: PolicyFile
    data: bytes

    def lines(self) -> list[str]:
        """The changed lines with two lines around them, each with its sign: ` `, `+` or `-`."""
        old, new = (data.decode().splitlines() for data in (self.before, self.data))
        return list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]

    def write(self) -> None:
        """Replaces the file, whose mode stays; raises UsageError if it was changed meanwhile."""
        if read_policy_file(self.path) != self.before:
            raise UsageError(
                f"the policy {quoted(str(self.path))} was changed meanwhile",
                hint="run the command again",
            )
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
            replace_file(self.path, self.data, mode)
            self.path.chmod(mode)
        except OSError as error:
            raise storage_error("write", str(self.path), error) from error


def edit_policy(path: Path, change: Callable[[str, Policy], str]) -> PolicyEdit:
    """The policy in `path` after `change` of its text. Nothing is written.

    Raises UsageError where either text is no policy, or the change has no effect, and as
    `flows.session.trust.load_policy`.
    """
    resolved = Path(os.path.realpath(path))
    before = read_policy_file(resolved)
    policy = parse_policy_file(resolved, before).policy
    data = change(before.decode("utf-8"), policy).encode("utf-8")
    return PolicyEdit(resolved, before, parse_policy_file(resolved, data), data)


def check_new_principal(policy: Policy, name: str) -> None:
    """Raises UsageError where `policy` has a principal of this name, in whatever case."""
    for principal in policy.principals:
        if principal.name.casefold() == name.casefold():
            raise UsageError(
                f"the policy has the principal {principal.name} already",
                hint=f"`provreg policy add key {principal.name} FILE.pub` adds a key",
            )


def check_new_key(policy: Policy, fingerprint: str) -> None:
    """Raises UsageError where a principal of `policy` has this key: it would count twice."""
    for principal in policy.principals:
        if any(key.fingerprint == fingerprint for key in principal.keys):
            raise UsageError(
                f"the key {fingerprint} is in the policy already, as a key of {principal.name}",
                hint="a key belongs to one principal",
            )


def principal_index(policy: Policy, name: str) -> int:
    """The index of the principal `name`; raises NotFoundError."""
    for index, principal in enumerate(policy.principals):
        if principal.name == name:
            return index
    raise _no_principal(policy.principals, name)


def key_index(policy: Policy, fingerprint: str) -> tuple[int, int]:
    """The indexes of the principal that has this key, and of the key; raises NotFoundError."""
    for index, principal in enumerate(policy.principals):
        for place, key in enumerate(principal.keys):
            if key.fingerprint == fingerprint:
                return index, place
    raise NotFoundError(
        f"no principal of the policy has the key {fingerprint}",
        hint="`provreg policy check` lists the keys",
    )


def rule_place(policy: Policy, written: str) -> tuple[str, int]:
    """(kind, number) of the rule that is written as in messages, `publish:1` or `publish`.

    Raises UsageError for another form, NotFoundError where there is no such rule.
    """
    kind, _, number = written.partition(":")
    rules = rules_of(policy, kind)
    if not number and len(rules) == 1:
        return kind, 1
    if not number.isdecimal():
        raise UsageError(
            f"which rule is meant is not clear: {quoted(written)}",
            hint=f"write its number after a colon, 1 to {len(rules)}: {kind}:1",
        )
    if not 1 <= int(number) <= len(rules):
        raise NotFoundError(
            f"the policy has no {kind} rule {number}, it has {len(rules)}",
            hint="`provreg policy check` lists them in order",
        )
    return kind, int(number)


def rules_of(policy: Policy, kind: str) -> tuple[Rule, ...]:
    """The rules of `kind`; raises UsageError for a word that is no kind of rule."""
    rules: dict[str, tuple[Rule, ...]] = {
        "publish": policy.publish,
        "revoke": policy.revoke,
        "freshness": policy.freshness,
        "train": policy.train,
        "accept": policy.accept,
    }
    if kind not in rules:
        raise UsageError(
            f"{quoted(kind)} is not a kind of rule", hint=f"write one of {', '.join(rules)}"
        )
    return rules[kind]


def check_new_rule(policy: Policy, kind: str, place: int) -> None:
    """Raises UsageError where the new rule `place` of `kind`, or a later one, never applies."""
    rules = rules_of(policy, kind)
    new, later = rules[place - 1], rules[place:]
    for name in new.datasets:
        covering = next((rule for rule in rules[: place - 1] if rule.covers(name)), None)
        if covering is not None:
            raise UsageError(
                f"{covering} covers {quoted(name)} already, so the new rule would have no effect",
                hint=f"pass --before {covering.place} to put the new rule first",
            )
    for name in (name for rule in later for name in rule.datasets):
        if new.covers(name):
            raise UsageError(
                f"the new rule covers {quoted(name)}, so a rule after it would have no effect",
                hint="leave out --before, or name fewer datasets",
            )


def _no_principal(principals: tuple[Principal, ...], name: str) -> NotFoundError:
    names = ", ".join(principal.name for principal in principals[:10])
    return NotFoundError(
        f"the policy has no principal {quoted(name)}",
        hint=f"it has {names}; `provreg policy add principal` adds one",
    )
