"""Keys of both kinds, made once."""

import pytest

from provreg.trust.keys import PrivateKey, generate


@pytest.fixture(scope="session")
def p256() -> PrivateKey:
    return generate("p256")


@pytest.fixture(scope="session")
def ed25519() -> PrivateKey:
    return generate("ed25519")


@pytest.fixture(scope="session", params=["p256", "ed25519"])
def key(request: pytest.FixtureRequest, p256: PrivateKey, ed25519: PrivateKey) -> PrivateKey:
    return {"p256": p256, "ed25519": ed25519}[request.param]
