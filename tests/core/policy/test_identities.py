"""Identities of CI services and patterns: what fits, what is refused, and who could be two."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from provreg.core.policy.parser import parse_policy
from provreg.core.policy.policy import Policy, Signature
from provreg.errors import FormatError

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "policy.v1.json").read_text("utf-8"))
GITHUB, GITLAB = "https://token.actions.githubusercontent.com", "https://gitlab.com"
RELEASE = "https://github.com/o/r/.github/workflows/release.yml"
SHARED = "org/shared/.github/workflows/build.yml"


def document(*people: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": "provreg.policy/v1",
        "principal": [
            {"name": f"p{n}", "identities": [identity]} for n, identity in enumerate(people)
        ],
    }


def policy(*people: dict[str, Any]) -> Policy:
    written = document(*people)
    Draft202012Validator(SCHEMA).validate(written)
    return parse_policy(written, lambda pem: pem)


def fits(identity: dict[str, Any], signature: Signature) -> bool:
    return policy(identity).principals[0].matches(signature)


PUBLISHED = Signature(
    identity=f"{RELEASE}@refs/tags/v1",
    issuer=GITHUB,
    repository="https://github.com/o/r",
    ref="refs/tags/v1",
    environment="release",
)
PIPELINE = Signature(
    identity="https://gitlab.com/g/s/p//ci/release.yml@refs/heads/main",
    issuer=GITLAB,
    repository="https://gitlab.com/g/s/p",
    ref="refs/heads/main",
)
REPOSITORY = {"github": "o/r", "workflow": "release.yml"}
PROJECT = {"gitlab": "g/s/p", "pipeline": "ci/release.yml"}


@pytest.mark.parametrize(
    "identity",
    [
        REPOSITORY,
        REPOSITORY | {"ref": "refs/tags/v1"},
        REPOSITORY | {"ref": "refs/tags/v*"},
        REPOSITORY | {"ref": "refs/tags/**"},
        REPOSITORY | {"environment": "release"},
    ],
)
def test_a_workflow_of_the_repository_fits(identity: dict[str, Any]) -> None:
    assert fits(identity, PUBLISHED)


@pytest.mark.parametrize(
    ("identity", "signature"),
    [
        (REPOSITORY, replace(PUBLISHED, issuer=GITLAB)),
        (REPOSITORY, replace(PUBLISHED, identity=f"{RELEASE}x@refs/tags/v1")),
        (REPOSITORY, replace(PUBLISHED, identity=RELEASE)),
        (REPOSITORY, replace(PUBLISHED, identity=f"{RELEASE}@v1")),
        (REPOSITORY, replace(PUBLISHED, repository=None)),
        (REPOSITORY, replace(PUBLISHED, repository="https://github.com/o/r2")),
        (REPOSITORY, replace(PUBLISHED, repository="https://github.com/O/r")),
        (REPOSITORY | {"ref": "refs/tags/v2"}, PUBLISHED),
        (REPOSITORY | {"ref": "refs/heads/**"}, PUBLISHED),
        (REPOSITORY | {"ref": "refs/tags/v1"}, replace(PUBLISHED, ref=None)),
        (REPOSITORY | {"ref": "refs/tags/v1"}, replace(PUBLISHED, ref="refs/heads/main")),
        (REPOSITORY | {"environment": "staging"}, PUBLISHED),
        (REPOSITORY | {"environment": "release"}, replace(PUBLISHED, environment=None)),
        (REPOSITORY, Signature(key="sha256:0")),
    ],
)
def test_what_is_not_that_workflow_in_that_repository_does_not_fit(
    identity: dict[str, Any], signature: Signature
) -> None:
    assert not fits(identity, signature)


def test_a_workflow_called_by_a_strangers_repository_does_not_fit() -> None:
    """With reusable workflows the certificate's name is the called one's, whoever calls it."""
    called = replace(PUBLISHED, repository="https://github.com/mallory/r")
    assert not fits(REPOSITORY, called)
    assert fits({"identity": PUBLISHED.identity, "issuer": GITHUB}, called)


def test_a_workflow_of_another_repository_fits_where_the_named_one_calls_it() -> None:
    called = replace(PUBLISHED, identity=f"https://github.com/{SHARED}@refs/heads/stable")
    identity = {"github": "o/r", "workflow": SHARED}
    assert fits(identity, called)
    assert fits(identity | {"ref": "refs/tags/v1"}, called)
    assert not fits(identity | {"ref": "refs/heads/stable"}, called)
    assert not fits(identity, replace(called, repository="https://github.com/org/shared"))
    assert not fits(REPOSITORY, called)


@pytest.mark.parametrize("owner", ["octocat_acme", "a", "o-o", "x" * 34 + "_acme"])
def test_a_managed_users_repository_fits_and_no_other(owner: str) -> None:
    """Logins of an enterprise's managed users end in `_` and its code."""
    written = {"github": f"{owner}/data", "workflow": "publish.yml"}
    made = Signature(
        identity=f"https://github.com/{owner}/data/.github/workflows/publish.yml@refs/heads/main",
        issuer=GITHUB,
        repository=f"https://github.com/{owner}/data",
        ref="refs/heads/main",
    )
    assert fits(written, made)
    assert not fits(written, replace(made, repository="https://github.com/octocat/data"))
    assert not fits(written | {"github": "octocat/data"}, made)


def test_an_enterprises_issuer_vouches_for_its_own_and_no_other_does() -> None:
    enterprise = f"{GITHUB}/acme"
    theirs = replace(PUBLISHED, issuer=enterprise)
    assert fits(REPOSITORY | {"issuer": enterprise}, theirs)
    assert fits(REPOSITORY | {"issuer": GITHUB}, PUBLISHED)
    for written, made in (
        (REPOSITORY, theirs),
        (REPOSITORY | {"issuer": enterprise}, PUBLISHED),
        (REPOSITORY | {"issuer": enterprise}, replace(PUBLISHED, issuer=f"{GITHUB}/acme2")),
        (REPOSITORY | {"issuer": enterprise}, replace(PUBLISHED, issuer=f"{GITHUB}/ACME")),
    ):
        assert not fits(written, made)
    # One certificate is of one issuer: two principals.
    policy(REPOSITORY, REPOSITORY | {"issuer": enterprise})


def test_an_issuer_that_is_not_githubs_says_how_to_write_it() -> None:
    with pytest.raises(FormatError, match="does not vouch for workflows at") as caught:
        parse_policy(document(REPOSITORY | {"issuer": "https://ghe.acme.example/_services/token"}),
                     lambda pem: pem)  # fmt: skip
    assert "repository =" in caught.value.hint


@pytest.mark.parametrize("ref", ["refs/heads/user@fix", "refs/heads/a@b@c", "refs/heads/it's(1)!"])
def test_a_ref_that_git_allows_is_taken_as_it_stands(ref: str) -> None:
    made = replace(PUBLISHED, identity=f"{RELEASE}@{ref}", ref=ref)
    assert fits(REPOSITORY | {"ref": ref}, made)
    assert fits(REPOSITORY, made)
    assert not fits(REPOSITORY | {"ref": ref}, PUBLISHED)
    # Neither the part before the @ nor the part behind is another branch's.
    assert not fits(REPOSITORY | {"ref": "refs/heads/user"}, made)
    assert not fits(REPOSITORY | {"ref": "refs/heads/*"}, made) or "@" not in ref


def test_a_branch_with_an_at_is_no_other_workflow() -> None:
    """Mallory pushes evil.yml on a branch that is called like a workflow at another branch."""
    written = REPOSITORY | {"ref": "refs/heads/user@fix"}
    branch = "refs/heads/x/.github/workflows/release.yml@refs/heads/user@fix"
    evil = f"https://github.com/o/r/.github/workflows/evil.yml@{branch}"
    assert not fits(written, replace(PUBLISHED, identity=evil, ref=branch))
    assert not fits(written, replace(PUBLISHED, identity=evil, ref="refs/heads/user@fix"))
    star = REPOSITORY | {"ref": "refs/heads/*@fix"}
    assert fits(star, replace(PUBLISHED, identity=f"{RELEASE}@refs/heads/u@fix",
                              ref="refs/heads/u@fix"))  # fmt: skip
    assert not fits(star, replace(PUBLISHED, identity=evil, ref=branch))


def test_the_long_form_checks_the_source_repository_where_it_is_named() -> None:
    """A reusable workflow of an enterprise's server: who calls it is in the certificate too."""
    host = "https://ghe.acme.example"
    issuer = f"{host}/_services/token"
    made = Signature(
        identity=f"{host}/shared/ci/.github/workflows/build.yml@refs/tags/v1",
        issuer=issuer,
        repository=f"{host}/acme/data",
        ref="refs/heads/main",
        environment="release",
    )
    exact = {"identity": made.identity, "issuer": issuer, "repository": f"{host}/acme/data"}
    pattern = {"identity_pattern": f"{host}/shared/ci/.github/workflows/build.yml@refs/**",
               "issuer": issuer, "repository": f"{host}/acme/data"}  # fmt: skip
    for written in (exact, pattern):
        assert fits(written, made)
        assert fits(written | {"ref": "refs/heads/*", "environment": "release"}, made)
        assert not fits(written | {"ref": "refs/tags/*"}, made)
        assert not fits(written | {"environment": "staging"}, made)
        assert not fits(written, replace(made, repository=f"{host}/mallory/data"))
        assert not fits(written, replace(made, repository=None))
        # Two callers of one workflow are two principals, unless one may be any caller.
        policy(written, written | {"repository": f"{host}/acme/other"})
        anybody = {name: text for name, text in written.items() if name != "repository"}
        with pytest.raises(FormatError, match="could be both"):
            policy(written, anybody)


def test_a_pipeline_of_a_gitlab_project_fits() -> None:
    assert fits(PROJECT, PIPELINE)
    assert fits(PROJECT | {"ref": "refs/heads/main"}, PIPELINE)
    assert not fits(PROJECT | {"pipeline": ".gitlab-ci.yml"}, PIPELINE)
    assert not fits(PROJECT, replace(PIPELINE, repository="https://gitlab.com/g/s/q"))
    assert not fits(PROJECT, replace(PIPELINE, issuer=GITHUB))


@pytest.mark.parametrize(
    "identity",
    [
        {"identity_pattern": "*", "issuer": GITHUB},
        {"identity_pattern": "**", "issuer": GITHUB},
        {"identity_pattern": "*@*", "issuer": GITHUB},
        {"identity_pattern": "*://*/**", "issuer": GITHUB},
        {"identity_pattern": "https://*/x", "issuer": GITHUB},
        {"identity_pattern": "https://*.example.org/x", "issuer": GITHUB},
        {"identity_pattern": "https://github.com/*", "issuer": GITHUB},
        {"identity_pattern": "https://github.com/*/r/x", "issuer": GITHUB},
        {"identity_pattern": "https://gitlab.com/a?/r/x", "issuer": GITHUB},
        {"identity_pattern": "ann@*.org", "issuer": GITHUB},
        {"identity_pattern": "*@?", "issuer": GITHUB},
        {"identity_pattern": "https://a.example/**/x", "issuer": GITHUB},
        {"identity_pattern": "https://a.example/x**", "issuer": GITHUB},
        {"identity_pattern": "https://a.example/***", "issuer": GITHUB},
        {"identity_pattern": "ann@example.org", "issuer": GITHUB},
        {"identity_pattern": "*@example.org"},
        {"identity_pattern": "*@exa mple.org", "issuer": GITHUB},
        {"identity_pattern": "*@" + "x" * 256, "issuer": GITHUB},
        {"identity_pattern": "*@example.org", "issuer": GITHUB, "identity": "ann@example.org"},
        {"github": "o/r"},
        {"workflow": "x.yml"},
        REPOSITORY | {"issuer": GITLAB},
        REPOSITORY | {"issuer": GITHUB + "/"},
        REPOSITORY | {"issuer": GITHUB + "/acme/evil"},
        REPOSITORY | {"issuer": GITHUB + ".evil.example"},
        REPOSITORY | {"issuer": GITHUB + "/acme@evil"},
        REPOSITORY | {"issuer": "https://HOST/_services/token"},
        REPOSITORY | {"issuer": ""},
        REPOSITORY | {"repository": "https://github.com/o/r"},
        PROJECT | {"issuer": GITLAB},
        {"identity": "ann@example.org", "issuer": "i", "repository": ""},
        {"identity": "ann@example.org", "issuer": "i", "repository": "a b"},
        {"identity": "ann@example.org", "issuer": "i", "ref": "main"},
        {"identity": "ann@example.org", "issuer": "i", "workflow": "x.yml"},
        {"github": "_o/r", "workflow": "x.yml"},
        {"github": "o" * 40 + "/r", "workflow": "x.yml"},
        REPOSITORY | {"pipeline": "x.yml"},
        {"github": "o", "workflow": "x.yml"},
        {"github": "o/*", "workflow": "x.yml"},
        {"github": "o/r/s", "workflow": "x.yml"},
        {"github": "https://github.com/o/r", "workflow": "x.yml"},
        {"github": "o/r", "workflow": "*.yml"},
        {"github": "o/r", "workflow": ".github/workflows/x.yml"},
        {"github": "o/r", "workflow": "../x.yml"},
        {"github": "o/r", "workflow": "x.sh"},
        REPOSITORY | {"ref": "main"},
        REPOSITORY | {"ref": "refs/tags/v**"},
        REPOSITORY | {"ref": "refs/**/v1"},
        REPOSITORY | {"ref": "refs/heads/main@**x"},
        REPOSITORY | {"ref": "refs/heads/a b"},
        REPOSITORY | {"ref": "refs/heads/100%"},
        REPOSITORY | {"environment": ""},
        REPOSITORY | {"environment": "a\x1bb"},
        {"gitlab": "p", "pipeline": "x.yml"},
        {"gitlab": "g/p"},
        {"gitlab": "g/p", "pipeline": "/x.yml"},
        {"gitlab": "g/p", "pipeline": "a//x.yml"},
        PROJECT | {"workflow": "x.yml"},
    ],
)
def test_schema_and_parser_refuse_an_identity_that_says_too_little_or_too_much(
    identity: dict[str, Any],
) -> None:
    written = document(identity)
    assert not Draft202012Validator(SCHEMA).is_valid(written)
    with pytest.raises(FormatError):
        parse_policy(written, lambda pem: pem)


def test_a_pattern_that_is_only_wildcards_says_what_to_write() -> None:
    with pytest.raises(FormatError, match="must have no wildcard"):
        parse_policy(document({"identity_pattern": "*@*", "issuer": "i"}), lambda pem: pem)


WIDE = {"identity_pattern": "https://github.com/o/*/.github/workflows/*@refs/**", "issuer": GITHUB}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"identity_pattern": "*@example.org", "issuer": "i"},
            {"identity": "ann@example.org", "issuer": "i"},
        ),
        (
            {"identity_pattern": "a*@example.org", "issuer": "i"},
            {"identity_pattern": "*n@example.org", "issuer": "i"},
        ),
        (REPOSITORY, {"identity": f"{RELEASE}@refs/heads/main", "issuer": GITHUB}),
        (REPOSITORY, REPOSITORY | {"ref": "refs/heads/main"}),
        (REPOSITORY, REPOSITORY | {"environment": "release"}),
        (REPOSITORY | {"ref": "refs/tags/v*"}, REPOSITORY | {"ref": "refs/tags/*1"}),
        (
            REPOSITORY | {"ref": "refs/heads/main"},
            {"identity": f"{RELEASE}@refs/heads/main", "issuer": GITHUB},
        ),
        (REPOSITORY, WIDE),
        (REPOSITORY, REPOSITORY),
    ],
)
def test_two_principals_that_one_certificate_could_be_are_refused(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """One signer would count twice, or as whichever the order of the file says."""
    for people in ((one, other), (other, one)):
        with pytest.raises(FormatError, match=r"could be both|is listed twice"):
            policy(*people)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"identity_pattern": "*@example.org", "issuer": "i"},
            {"identity": "ann@example.org", "issuer": "j"},
        ),
        (
            {"identity_pattern": "*@example.org", "issuer": "i"},
            {"identity": "ann@example.com", "issuer": "i"},
        ),
        (REPOSITORY | {"ref": "refs/heads/main"}, REPOSITORY | {"ref": "refs/tags/*"}),
        (REPOSITORY | {"environment": "a"}, REPOSITORY | {"environment": "b"}),
        ({"github": "o/r", "workflow": SHARED}, {"github": "o/s", "workflow": SHARED}),
        (REPOSITORY, PROJECT),
    ],
)
def test_principals_that_no_certificate_can_both_be_are_taken(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    policy(one, other)


def test_one_principal_may_have_identities_that_overlap() -> None:
    written = document(REPOSITORY)
    written["principal"][0]["identities"].append(WIDE)
    parse_policy(written, lambda pem: pem)


def test_very_many_patterns_are_refused() -> None:
    people = [{"identity_pattern": f"*@{n}.example", "issuer": "i"} for n in range(256)]
    written = document(*people)
    parse_policy(written, lambda pem: pem)
    written["principal"][0]["identities"].append({"identity_pattern": "*@x.y", "issuer": "i"})
    with pytest.raises(FormatError, match="more than 256"):
        parse_policy(written, lambda pem: pem)
