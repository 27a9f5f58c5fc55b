"""Judging counts principals, looks at the time that is proven, and fails closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.policy.counting import Verdict, Witness, count_principals, judge
from provreg.core.policy.policy import (
    Identity,
    Policy,
    Principal,
    PublishRule,
    RevokeRule,
    Signature,
    TrustedKey,
    short_fingerprint,
    single_identity_policy,
    single_key_policy,
)
from provreg.errors import NotTrustedError

MAIN = "https://github.com/o/r/.github/workflows/x.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def key(name: str) -> TrustedKey:
    return TrustedKey(f"sha256:{name.encode().hex():0>64}", f"the PEM of {name}")


def by(name: str, **facts: Any) -> Signature:
    return Signature(key=key(name).fingerprint, **facts)


ALICE, ALICE_AGAIN, BOB = by("alice"), by("laptop"), by("bob")
CI = Signature(identity=MAIN, issuer=ISSUER, signed_at=NOW, proof="log", logged=True)
STRANGER = by("mallory")
PRINCIPALS = (
    Principal("alice", (key("alice"), key("laptop"))),
    Principal("bob", (key("bob"),)),
    Principal("ci", identities=(Identity(MAIN, ISSUER),)),
)
POLICY = Policy(
    PRINCIPALS,
    (
        PublishRule(("cifar10",), ("alice", "ci"), 2, place=1),
        PublishRule(("toolformer-*", "x?z"), ("alice",), minimum_version=5, place=2),
    ),
)


def verdict(
    signatures: Sequence[Signature],
    policy: Policy = POLICY,
    dataset: str = "cifar10",
    version: int = 1,
    now: datetime = NOW,
    **more: Any,
) -> Verdict:
    return judge(policy, dataset, version, signatures, now=now, **({"created": now - DAY} | more))


def one_rule(*principals: str, **rule: Any) -> Policy:
    return Policy(PRINCIPALS, (PublishRule(("*",), principals, place=1, **rule),))


def test_more_signers_than_needed_are_said_as_such() -> None:
    reason = verdict([CI, ALICE], one_rule("ci", "alice")).reason
    assert reason.startswith("signed by 2 (1 needed) by publish rule 1 (*): ci")


def test_threshold_is_met_by_two_principals() -> None:
    found = verdict([CI, ALICE])
    found.require()
    assert found.trusted
    assert found.step == 7
    assert found.rule is POLICY.publish[0]
    assert found.approvals == (("alice", ALICE), ("ci", CI))
    assert found.reason == (
        "signed by 2 of 2 needed by publish rule 1 (cifar10): "
        f"alice (key {short_fingerprint(ALICE.key or '')}), ci ({MAIN} by {ISSUER})"
    )


def test_two_keys_of_one_principal_count_once() -> None:
    found = verdict([ALICE, ALICE_AGAIN, ALICE])
    assert found.uncounted == ()
    assert found.needed == "needs a signature by 1 of: ci"
    with pytest.raises(NotTrustedError, match="1 of 2 needed") as caught:
        found.require()
    assert caught.value.step == 7
    assert caught.value.hint == found.needed


def test_signatures_of_others_are_ignored_and_reported() -> None:
    found = verdict([BOB, ALICE, STRANGER, CI])
    assert found.trusted
    assert [one.signature for one in found.uncounted] == [BOB, STRANGER]
    assert "not counted: key " in found.reason


def test_a_known_principal_outside_the_rule_is_not_enough() -> None:
    found = verdict([BOB, CI, STRANGER], dataset="toolformer-x", version=9)
    assert not found.trusted
    assert found.step == 6
    assert "no principal of publish rule 2 (toolformer-*, x?z) signed" in found.reason
    assert found.needed == "needs a signature by 1 of: alice"


def test_many_strangers_do_not_flood_the_reason() -> None:
    strangers = [Signature(identity=f"s{n}\x1b[2J", issuer="i") for n in range(1000)]
    reason = verdict(strangers).reason
    assert "and 990 more" in reason
    assert "\x1b" not in reason


@pytest.mark.parametrize(
    "signature",
    [
        Signature(identity=MAIN, issuer="https://evil.example"),
        Signature(identity=MAIN + "x", issuer=ISSUER),
        Signature(identity=MAIN.upper(), issuer=ISSUER),
        Signature(identity=MAIN),
        Signature(),
        Signature(key=(ALICE.key or "").upper()),
        Signature(key=short_fingerprint(ALICE.key or "")),
        Signature(key=STRANGER.key, identity=MAIN, issuer=ISSUER),
    ],
)
def test_identities_issuers_and_keys_are_matched_whole(signature: Signature) -> None:
    assert not verdict([signature], one_rule("alice", "ci")).trusted


def test_an_empty_policy_allows_nothing() -> None:
    for empty in (Policy(), Policy(PRINCIPALS), Policy((), POLICY.publish)):
        found = verdict([ALICE, CI], empty)
        assert (found.trusted, found.step) == (False, 6)


def test_a_version_below_the_minimum_is_refused_whoever_signed() -> None:
    assert verdict([ALICE], dataset="toolformer-x", version=5).trusted
    found = verdict([ALICE], dataset="toolformer-x", version=4)
    assert (found.trusted, found.step) == (False, 6)
    assert "publish rule 2 (toolformer-*, x?z) allows" in found.reason


def test_the_first_rule_that_covers_decides_even_where_a_later_one_would_allow() -> None:
    rules = (PublishRule(("secret-*",), ("alice",)), PublishRule(("*",), ("bob",)))
    ordered = Policy(PRINCIPALS, rules)
    assert verdict([BOB], ordered, "open").trusted
    assert not verdict([BOB], ordered, "secret-a").trusted


def test_countersigners_count_but_publish_nothing_alone() -> None:
    policy = one_rule("alice", threshold=2, countersigners=("bob", "ci"))
    assert verdict([ALICE, BOB], policy).trusted
    assert verdict([ALICE, CI, BOB], policy).trusted
    alone = verdict([BOB, CI], policy)
    assert (alone.trusted, alone.step) == (False, 7)
    assert alone.needed == "needs a signature by 1 of: alice"
    first = verdict([BOB], one_rule("alice", threshold=3, countersigners=("bob", "ci")))
    assert first.needed == "needs a signature by 2 of: alice, ci, at least one of them of alice"


def test_a_policy_for_one_key_or_identity_takes_it_for_any_dataset() -> None:
    single = single_key_policy(ALICE.key or "", "a PEM")
    assert verdict([ALICE], single, "whatever").trusted
    assert not verdict([BOB], single, "whatever").trusted
    assert single.principals[0].name == short_fingerprint(ALICE.key or "")
    assert [one.pem for one in single.trusted_keys()] == ["a PEM"]
    # Its rule stands in no file, so none is named.
    assert verdict([ALICE], single).reason.startswith("signed by 1 of 1 needed: sha256:")
    assert verdict([BOB], single).reason.startswith("no principal of the policy signed")
    literal = single_identity_policy("https://github.com/*", ISSUER)
    assert not verdict([Signature(identity="https://github.com/o", issuer=ISSUER)], literal).trusted


# Proof


@pytest.mark.parametrize(
    ("required", "signature", "counted"),
    [
        ("log", ALICE, False),
        ("log", CI, True),
        ("timestamp", CI, False),
        ("timestamp", replace(CI, stamped=True), True),
        ("timestamp", replace(ALICE, signed_at=NOW, proof="tsa"), True),
        ("timestamp", replace(ALICE, signed_at=NOW, proof="claimed"), False),
        ("time", ALICE, False),
        ("time", CI, True),
        ("time", replace(ALICE, signed_at=NOW, proof="tsa"), True),
        ("time", replace(ALICE, signed_at=NOW, proof="claimed"), False),
    ],
)
def test_only_signatures_with_the_required_proof_count(
    required: Any, signature: Signature, counted: bool
) -> None:
    found = verdict([signature], one_rule("alice", "ci", required=required))
    assert found.trusted is counted
    if not counted:
        assert found.step == 6
        assert "without a" in found.reason


# Age


def test_a_signature_is_as_old_as_its_proven_time() -> None:
    policy = one_rule("alice", "ci", maximum_age=30 * DAY)
    early = replace(CI, signed_at=NOW - 40 * DAY)
    late = replace(ALICE, signed_at=NOW, proof="tsa")
    found = verdict([early], policy)
    assert (found.trusted, found.step) == (False, 8)
    assert "signed 2026-04-22" in found.reason
    assert "publish rule 1 (*) requires at most 30 days of age" in found.reason
    # Who signs it again says that it still holds; the old signature takes nothing from that.
    assert verdict([early, late], policy).approvals == (("alice", late),)


def test_without_a_proven_time_the_age_is_what_the_head_claims_and_that_is_said() -> None:
    policy = one_rule("alice", maximum_age=30 * DAY)
    claimed = replace(ALICE, signed_at=NOW, proof="claimed")
    for made in (ALICE, claimed):
        assert verdict([made], policy, created=NOW - 30 * DAY).trusted
        found = verdict([made], policy, created=NOW - 30 * DAY - timedelta(seconds=1))
        assert (found.trusted, found.step) == (False, 8)
        assert "signed 2026-" in found.reason


def test_a_version_dated_into_the_future_does_not_stay_young() -> None:
    policy = one_rule("alice", maximum_age=30 * DAY)
    assert verdict([ALICE], policy, created=NOW + timedelta(minutes=59)).trusted
    found = verdict([ALICE], policy, created=NOW + timedelta(minutes=61))
    assert (found.trusted, found.step) == (False, 8)
    assert "is in the future" in found.reason


# Keys that begin and end


def keys_of_alice(**when: datetime) -> Policy:
    alice = Principal("alice", (replace(key("alice"), **when),))
    return Policy((alice,), (PublishRule(("*",), ("alice",), place=1),))


STAMPED = by("alice", signed_at=NOW - 10 * DAY, proof="tsa", stamped=True)


@pytest.mark.parametrize("end", ["valid_until", "revoked"])
def test_a_signature_of_an_ended_key_stands_only_if_stamped_before(end: str) -> None:
    ended = keys_of_alice(**{end: NOW - 5 * DAY})
    assert verdict([STAMPED], ended).trusted
    found = verdict([ALICE], ended)
    assert (found.trusted, found.step) == (False, 8)
    assert "without a proven time, its key is" in found.reason
    late = replace(STAMPED, signed_at=NOW - 5 * DAY)
    assert verdict([late], ended).step == 8
    assert verdict([replace(late, signed_at=NOW - 5 * DAY - timedelta(seconds=1))], ended).trusted


def test_a_time_that_is_only_claimed_does_not_outlive_a_revoked_key() -> None:
    backdated = by("alice", signed_at=NOW - 10 * DAY, proof="claimed")
    assert not verdict([backdated], keys_of_alice(revoked=NOW - 5 * DAY)).trusted


def test_a_key_whose_end_is_to_come_stands_without_a_time() -> None:
    assert verdict([ALICE], keys_of_alice(valid_until=NOW + DAY)).trusted
    assert not verdict([ALICE], keys_of_alice(valid_until=NOW)).trusted


def test_what_was_seen_or_pinned_outlives_its_key() -> None:
    seen = Witness({str(ALICE.key): NOW - 6 * DAY, str(BOB.key): NOW - 6 * DAY})
    for end in ("valid_until", "revoked"):
        ended = keys_of_alice(**{end: NOW - 5 * DAY})
        assert verdict([ALICE], ended, witness=seen).trusted
        assert verdict([ALICE], ended, witness=Witness(pinned=NOW - 6 * DAY)).trusted
        assert not verdict([BOB], ended, witness=seen).trusted


@pytest.mark.parametrize("end", ["valid_until", "revoked"])
def test_what_was_seen_or_pinned_too_late_or_by_another_does_not(end: str) -> None:
    ended = keys_of_alice(**{end: NOW - 5 * DAY})
    for witness in (
        Witness({str(ALICE.key): NOW - 5 * DAY}),
        Witness({str(BOB.key): NOW - 6 * DAY}),
        Witness(pinned=NOW - 5 * DAY),
    ):
        assert verdict([ALICE], ended, witness=witness).step == 8


def test_a_key_counts_for_nothing_before_it_begins() -> None:
    young = keys_of_alice(valid_from=NOW - 5 * DAY)
    assert verdict([ALICE], young).trusted
    assert verdict([replace(STAMPED, signed_at=NOW - 5 * DAY)], young).trusted
    for witness in (Witness(), Witness(pinned=NOW)):
        assert verdict([STAMPED], young, witness=witness).step == 8
        early = keys_of_alice(valid_from=NOW + DAY)
        assert verdict([ALICE], early, witness=witness).step == 8


def test_an_ended_key_does_not_hide_that_the_threshold_is_missed_anyway() -> None:
    ended = Principal("alice", (replace(key("alice"), revoked=NOW),))
    policy = Policy((ended, *PRINCIPALS[1:]), (PublishRule(("*",), ("alice", "bob", "ci"), 3),))
    assert verdict([ALICE, BOB], policy).step == 7
    assert verdict([ALICE, BOB, CI], policy).step == 8


def test_a_good_key_of_the_same_principal_counts_beside_an_ended_one() -> None:
    alice = Principal("alice", (replace(key("alice"), revoked=NOW), key("laptop")))
    policy = Policy((alice,), (PublishRule(("*",), ("alice",)),))
    assert verdict([ALICE, ALICE_AGAIN], policy).approvals == (("alice", ALICE_AGAIN),)


# Properties


NAMES = ("p0", "p1", "p2", "p3")
PEOPLE = tuple(
    Principal(
        name,
        (key(f"{name}-a"), replace(key(f"{name}-b"), revoked=NOW - DAY)),
        (Identity(f"{name}@*", ISSUER, pattern=True),),
    )
    for name in NAMES
)
signatures = st.builds(
    lambda who, how, at, proof: (
        Signature(identity=f"{who}@{how}", issuer=ISSUER, signed_at=at, proof=proof, logged=True)
        if how in "xy"
        else by(f"{who}-{how}", signed_at=at, proof=proof)
    ),
    st.sampled_from([*NAMES, "stranger"]),
    st.sampled_from("abxy"),
    st.sampled_from([None, NOW - 3 * DAY, NOW]),
    st.sampled_from(["log", "tsa", "claimed"]),
)
rules = st.builds(
    lambda order, first, threshold, required, age: PublishRule(
        ("*",), tuple(order[:first]), threshold, tuple(order[first:]), required=required,
        maximum_age=age,
    ),
    st.permutations(NAMES),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([None, "log", "timestamp", "time"]),
    st.sampled_from([None, 2 * DAY]),
)  # fmt: skip


@given(made=st.lists(signatures, max_size=8), more=signatures, rule=rules)
def test_one_more_signature_never_turns_trusted_into_untrusted(
    made: list[Signature], more: Signature, rule: PublishRule
) -> None:
    policy = Policy(PEOPLE, (rule,))
    assert verdict([*made, more], policy).trusted >= verdict(made, policy).trusted


@given(made=st.lists(signatures, max_size=8), who=st.sampled_from(NAMES), rule=rules)
def test_no_set_of_signatures_by_one_principal_meets_two(
    made: list[Signature], who: str, rule: PublishRule
) -> None:
    policy = Policy(PEOPLE, (replace(rule, threshold=max(2, rule.threshold)),))
    alone = next(person for person in PEOPLE if person.name == who)
    assert not verdict([one for one in made if alone.matches(one)], policy).trusted


@given(made=st.lists(signatures, max_size=8), who=st.sampled_from(NAMES), rule=rules)
def test_removing_a_principal_never_widens_trust(
    made: list[Signature], who: str, rule: PublishRule
) -> None:
    fewer = replace(
        rule,
        principals=tuple(name for name in rule.principals if name != who),
        countersigners=tuple(name for name in rule.countersigners if name != who),
    )
    people = tuple(person for person in PEOPLE if person.name != who)
    less = verdict(made, Policy(people, (fewer,)))
    assert less.trusted <= verdict(made, Policy(PEOPLE, (rule,))).trusted


@given(made=st.lists(signatures, max_size=8), threshold=st.integers(1, 4))
def test_all_rules_count_alike(made: list[Signature], threshold: int) -> None:
    publish, revoke = (
        count_principals(Policy(PEOPLE), rule, made, now=NOW, created=NOW)
        for rule in (PublishRule(("*",), NAMES, threshold), RevokeRule(("*",), NAMES, threshold))
    )
    assert (publish.is_met, publish.approvals) == (revoke.is_met, revoke.approvals)
    signed = {name for name, _ in revoke.approvals}
    assert revoke.is_met == (len(signed) >= threshold)
    counted = {person.name for person in PEOPLE for one in made if person.matches(one)}
    assert signed <= counted


def test_a_signature_that_fits_two_principals_counts_for_the_first_alone() -> None:
    """No file says so (it is refused when read); a policy made in code is counted cautiously."""
    wide = Principal("wide", identities=(Identity("*@example.org", "i", pattern=True),))
    narrow = Principal("narrow", identities=(Identity("ann@example.org", "i"),))
    ann = Signature(identity="ann@example.org", issuer="i")
    for order in ((wide, narrow), (narrow, wide)):
        policy = Policy(order, (PublishRule(("*",), ("wide", "narrow"), 2),))
        assert not verdict([ann, ann], policy).trusted
