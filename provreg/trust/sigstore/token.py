"""Identity tokens and their sources, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.errors import NotFoundError, StorageError, UsageError
from provreg.trust.sigstore.adapter import AGAIN, INSTANCE, ISSUER, call_with_timeout, refused_token

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken

TOKEN_VARIABLES = ("PROVREG_IDENTITY_TOKEN", "SIGSTORE_ID_TOKEN")
TOKEN_LIMIT = 64 * 1024  # bytes
BROWSER_LIMIT = 300.0  # seconds for a person to sign in

PUBLIC_WARNING = (
    "your browser opens to sign in: your e-mail address becomes part of a public log"
    " that nobody can delete it from"
)


@dataclass(frozen=True, slots=True)
class TokenSource:
    """The source of the identity: `file`, else the environment, the CI service, or a browser.

    `warn` shows a warning before the browser opens; None means that no browser can be used.
    """

    file: Path | None
    environment: Mapping[str, str]
    warn: Callable[[str], None] | None

    def unattended(self, limit: float) -> IdentityToken | None:
        """A token that needs no browser, None if there is none.

        Raises UsageError for a token that is expired, malformed or for another audience, and
        without a token or browser; StorageError if the CI service returns none.
        """
        from sigstore.oidc import IdentityError, IdentityToken

        raw = self._explicit_token()
        if raw is None:
            raw = call_with_timeout("the CI service's identity provider", limit, _detect)
        if raw is None and self.warn is None:
            raise UsageError(
                "there is no identity to sign with",
                hint=f"set {TOKEN_VARIABLES[0]}, pass --sign keyless:FILE with a token in FILE,"
                " allow identity tokens in the CI job, or sign on a terminal",
            )
        if raw is None:
            return None
        try:
            return IdentityToken(raw)
        except IdentityError as error:
            raise refused_token(error) from None

    def by_browser(self, provider: str, limit: float) -> IdentityToken:
        """Lets the user sign in with a browser at the identity provider with the URL `provider`."""
        from sigstore.oidc import Issuer

        if self.warn is not None:
            self.warn(PUBLIC_WARNING)
        issuer = call_with_timeout(ISSUER, limit, lambda: Issuer(provider))
        return call_with_timeout(f"{INSTANCE}'s sign-in page", BROWSER_LIMIT, issuer.identity_token)

    def _explicit_token(self) -> str | None:
        if self.file is not None:
            return _read(self.file)
        variable = next((name for name in TOKEN_VARIABLES if self.environment.get(name)), None)
        return None if variable is None else self.environment[variable].strip()


def _detect() -> str | None:
    """The CI service's token, None outside of CI."""
    from id import GitHubOidcPermissionCredentialError
    from sigstore.oidc import IdentityError, detect_credential

    try:
        return detect_credential()
    except IdentityError as error:
        why = f"the CI service returned no identity token: {quoted(str(error))}"
        if isinstance(error.__cause__, GitHubOidcPermissionCredentialError):
            raise UsageError(why, hint="give the job `permissions: id-token: write`") from None
        raise StorageError(why, hint=AGAIN) from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(TOKEN_LIMIT + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no identity token {quoted(str(path))}") from None
    except OSError as error:
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error
    if len(data) > TOKEN_LIMIT or not data.isascii():
        raise UsageError(f"{quoted(str(path))} is not an identity token")
    return data.decode("ascii").strip()
