"""The identity provider: OpenID Connect, and tokens shaped like a CI service's."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlencode

import jwt

from sigstore_instance.authority import new_key
from sigstore_instance.faults import Faults
from sigstore_instance.web import Reply, Request, Server

AUDIENCE = "sigstore"
CI_SECRET = "the runner's own"


class Oidc:
    """Issues ES256 tokens for whoever `person` is; nobody is asked for a password."""

    def __init__(self, server: Server, faults: Faults, person: str) -> None:
        self.issuer = f"{server.url}/oidc"
        self.person = person
        self._faults = faults
        self._key = new_key()
        self._codes: set[str] = set()
        server.routes["/oidc/.well-known/openid-configuration"] = ("oidc", self._discovery)
        server.routes["/oidc/auth"] = ("oidc", self._authorize)
        server.routes["/oidc/token"] = ("oidc", self._exchange)
        server.routes["/oidc/ci"] = ("oidc", self._runner)

    def token(self, subject: str | None = None, **claims: Any) -> str:
        """A token that is good for ten minutes, unless a fault is in force."""
        now = int(time.time())
        expired = "expired-token" in self._faults
        other = "token-for-another-audience" in self._faults
        said = {
            "iss": self.issuer,
            "sub": subject or self.person,
            "aud": "somebody-else" if other else AUDIENCE,
            "iat": now - 3600 if expired else now,
            "exp": now - 1800 if expired else now + 600,
        }
        return jwt.encode(said | claims, self._key, algorithm="ES256")

    def verify(self, token: str) -> dict[str, Any]:
        """The claims, as Fulcio reads them. Raises jwt.InvalidTokenError."""
        claims: dict[str, Any] = jwt.decode(
            token,
            self._key.public_key(),
            algorithms=["ES256"],
            audience=AUDIENCE,
            issuer=self.issuer,
            options={"require": ["aud", "sub", "iat", "exp", "iss"]},
        )
        return claims

    def _discovery(self, _: Request) -> Reply:
        return Reply.json(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/auth",
                "token_endpoint": f"{self.issuer}/token",
            }
        )

    def _authorize(self, request: Request) -> Reply:
        code = secrets.token_urlsafe()
        self._codes.add(code)
        answer = urlencode({"code": code, "state": request.query["state"]})
        location = f"{request.query['redirect_uri']}?{answer}"
        return Reply(b"", 302, headers={"Location": location})

    def _exchange(self, request: Request) -> Reply:
        said = dict(pair.split("=", 1) for pair in request.body.decode().split("&"))
        if said.get("code") not in self._codes:
            return Reply.json({"error": "invalid_grant"}, 400)
        self._codes.remove(said["code"])
        return Reply.json({"access_token": self.token(), "token_type": "Bearer"})

    def _runner(self, request: Request) -> Reply:
        """What GitHub Actions answers to ACTIONS_ID_TOKEN_REQUEST_URL."""
        if request.headers.get("Authorization") != f"bearer {CI_SECRET}":
            return Reply.json({}, 401)
        return Reply.json({"value": self.token()})
