"""Additions to the text of a policy: what is there stays, in whatever form it is written."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.policy.edit import add_key, add_principal, add_rule, add_to_rule, end_key
from provreg.errors import UsageError

PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
OTHER = PEM.replace("AAAA", "BBBB")
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
POLICY = f"""\
# Ours. [[principal]] and ] in comments mean nothing.
format = "provreg.policy/v1"

# Alice [the first].
[[principal]]
name = "alice"   # from the team
keys = ['''
{PEM}''']

# --- Rules ---

# Narrow ones first.
[[publish]]
datasets = ["photos", "a]b#c"]
principals = ["alice"]
[[publish.limits]]
share = 0.01

[[publish]]
datasets = ["*"]
principals = [
  "alice"
  # nobody else
]

[[revoke]]
datasets = ['*']
principals = ["alice"]
"""
BOB = {"name": "bob", "keys": [PEM]}


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


def lines_added(old: str, new: str) -> list[str]:
    """The lines of `new` that are not those of `old`, which must all be there, in order."""
    rest, added = old.splitlines(), []
    for line in new.splitlines():
        if rest and line == rest[0]:
            rest.pop(0)
        else:
            added.append(line)
    assert not rest
    return added


def test_a_principal_comes_after_the_others_and_before_the_comments_of_the_rules() -> None:
    new = add_principal(POLICY, BOB)
    assert lines_added(POLICY, new)[:2] == ["[[principal]]", 'name = "bob"']
    assert new.index('"bob"') < new.index("# --- Rules") < new.index("# Narrow ones")
    assert tomllib.loads(new)["principal"][1] == BOB


def test_the_first_principal_is_added_to_a_policy_without_any() -> None:
    empty = 'format = "provreg.policy/v1"  # nobody yet'
    assert tomllib.loads(add_principal(empty, BOB)) == {
        "format": "provreg.policy/v1", "principal": [BOB],
    }  # fmt: skip


@pytest.mark.parametrize(
    "keys",
    [
        f"keys = ['''\n{PEM}''']",
        f"keys = ['''\n{PEM}''', ]",
        f"keys=[ # ] old\n  '''\n{PEM}''', # ]\n  # the last\n]",
        f"keys = [\n '''\n{PEM}'''   # no comma ] here\n]",
        f"keys = [{{ pem = '''\n{PEM}''', valid_until = 2026-01-01T00:00:00Z }}]",
        'keys = ["' + PEM.replace("\n", "\\n") + '"]',
        "keys = []",
        "# no keys: [ ]",
    ],
)
def test_a_key_is_added_to_keys_in_any_form(keys: str) -> None:
    text = POLICY.replace(f"keys = ['''\n{PEM}''']", keys)
    before = tomllib.loads(text)
    after = tomllib.loads(new := add_key(text, 0, {"pem": OTHER, "valid_from": NEW_YEAR}))
    assert after["principal"][0].pop("keys")[-1] == {"pem": OTHER, "valid_from": NEW_YEAR}
    before["principal"][0].pop("keys", None)
    assert after == before
    assert comments(new) == comments(text)


def test_a_rule_is_added_at_the_end_of_its_kind_or_before_another() -> None:
    rule = {"datasets": ["x*"], "principals": ["alice"], "required": False, "minimum_version": 2}
    for place, index in ((None, 2), (1, 0), (2, 1)):
        new = add_rule(POLICY, "publish", rule, place)
        rules = tomllib.loads(new)["publish"]
        assert (len(rules), rules[index]) == (3, rule)
        assert rules[1 if place == 1 else 0]["limits"] == [{"share": 0.01}]
        assert lines_added(POLICY, new)
    assert tomllib.loads(add_rule(POLICY, "train", rule))["train"] == [rule]


def test_a_principal_joins_a_rule() -> None:
    for place in (1, 2):
        new = add_to_rule(POLICY, "publish", place, "bob")
        assert tomllib.loads(new)["publish"][place - 1]["principals"] == ["alice", "bob"]
        assert comments(new) == comments(POLICY)


def test_a_key_gets_an_end_and_a_second_one() -> None:
    new = end_key(POLICY, 0, 0, "valid_until", NEW_YEAR)
    assert tomllib.loads(new)["principal"][0]["keys"] == [{"pem": PEM, "valid_until": NEW_YEAR}]
    new = end_key(new, 0, 0, "revoked", NEW_YEAR)
    (key,) = tomllib.loads(new)["principal"][0]["keys"]
    assert key == {"pem": PEM, "valid_until": NEW_YEAR, "revoked": NEW_YEAR}
    assert comments(new) == comments(POLICY)


@pytest.mark.parametrize(
    "text",
    [
        f'principal = [{{ name = "alice", keys = ["""{PEM}"""] }}]\n',
        f'[[principal]]\nname = "alice"\n[[principal.keys]]\npem = """{PEM}"""\n',
        f'[["principal"]]\nname = "alice"\nkeys = ["""{PEM}"""]\n',
    ],
)
def test_another_form_is_refused_and_never_rewritten(text: str) -> None:
    for change in (lambda: add_key(text, 0, OTHER),
                   lambda: end_key(text, 0, 0, "revoked", NEW_YEAR)):  # fmt: skip
        with pytest.raises(UsageError, match="cannot be changed by command") as caught:
            change()
        assert "by hand" in caught.value.hint


def test_a_text_that_looks_like_a_table_misleads_nobody() -> None:
    """A name in a text that spans lines, written to have the addition land in it."""
    trap = POLICY.replace(
        'name = "alice"   # from the team',
        'name = """\n[[principal]]\nname = "x"\nkeys = [\n"""',
    )
    new = add_key(trap, 0, OTHER)
    assert tomllib.loads(new)["principal"][0]["keys"] == [PEM, OTHER]
    assert len(tomllib.loads(add_principal(trap, BOB))["principal"]) == 2


_NOISE = st.sampled_from(
    ["", "\n", "# a ] comment\n", "  # [[publish]]\n", "\n\n# keys = [ \"''' \n\n", "\t\n"]
)
_KEYS = st.sampled_from(
    [
        f"keys = ['''\n{PEM}''']",
        f'keys = ["""\n{PEM}""" ,# [\n]',
        f"keys=[\n\t{{pem='''\n{PEM}''',valid_from=2020-01-01T00:00:00Z}},\n]",
        "identities = [{ identity = 'a]b@example.org', issuer = \"https://x.example/'''\" }]",
    ]
)


@given(st.lists(st.tuples(_NOISE, _KEYS, _NOISE), min_size=1, max_size=3), _NOISE, st.booleans())
def test_additions_say_what_was_there_and_the_addition_in_any_layout(
    principals: list[tuple[str, str, str]], noise: str, windows: bool
) -> None:
    tables = "".join(
        f'{before}[[principal]]\nname = "p{number}"\n{keys}\n{after}'
        for number, (before, keys, after) in enumerate(principals)
    )
    rule = f'[[publish]]\ndatasets = ["*"]\nprincipals = [ "p0",\n{noise}]'
    text = f'format = "provreg.policy/v1"\n{tables}{noise}{rule}'
    text = text.replace("\n", "\r\n") if windows else text
    before = tomllib.loads(text)
    for index in range(len(principals)):
        added = tomllib.loads(new := add_key(text, index, OTHER))
        assert added["principal"][index]["keys"].pop() == OTHER
        assert comments(new) == comments(text)
    last = tomllib.loads(add_principal(text, BOB))
    assert last["principal"].pop() == BOB
    assert last == before
    joined = tomllib.loads(add_to_rule(text, "publish", 1, "bob"))
    assert joined["publish"][0]["principals"] == ["p0", "bob"]
    new_rule = {"datasets": ["x"], "principals": ["p0"]}
    ruled = tomllib.loads(add_rule(text, "publish", new_rule, 1))
    assert ruled["publish"] == [new_rule, *before["publish"]]
