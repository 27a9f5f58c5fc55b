"""The border to sigstore-python: whatever comes out of it becomes one of our errors, in time.

Its `Error` is not all it raises: classes of requests, pydantic, cryptography and its own that
derive from nothing in common come out as well. And its posts to Fulcio and Rekor have no time
bound, so calls run in a thread that is left behind when it takes too long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import (
    DuplicateExtension,
    ExtensionNotFound,
    InvalidVersion,
    UnsupportedGeneralNameType,
)

from provreg.core.encoding.text import quoted
from provreg.errors import NotTrustedError, ProvregError, StorageError, UsageError
from provreg.executors.threads import start_abandonable

T = TypeVar("T")
CALL_LIMIT = 60.0  # seconds
AGAIN = "nothing was published: sign again when it answers"

FULCIO = "the certificate authority (Fulcio)"
REKOR = "the transparency log (Rekor)"
ISSUER = "the identity provider"
INSTANCE = "the Sigstore instance"

# What a library does that meets a document it did not expect. pydantic's and base64's errors are
# ValueErrors.
UNREADABLE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    InvalidSignature, UnsupportedAlgorithm, DuplicateExtension, ExtensionNotFound, InvalidVersion,
    UnsupportedGeneralNameType,
)  # fmt: skip
_TOKEN_STATUS = frozenset({400, 401, 403})

# Without a handler its warnings would go to standard error beside our message.
logging.getLogger("sigstore").addHandler(logging.NullHandler())


def call_with_timeout(service: str, limit: float, call: Callable[[], T]) -> T:
    """What `call` returns within `limit` seconds; `service` is whom it asks, for messages.

    Raises UsageError for a token that is not taken, StorageError where the service is down, slow or
    answers what cannot be read, NotTrustedError (step 3) where what it says does not verify.
    """
    try:
        return start_abandonable(call, f"asking {service}").result(limit)
    except ProvregError:
        raise
    except _expected() as error:
        if isinstance(error, TimeoutError):
            late = f"{service} did not answer within {limit:g} seconds"
            raise StorageError(late, hint=AGAIN) from None
        raise _translated(service, error) from error


def _expected() -> tuple[type[Exception], ...]:
    """Every class that may come out of the library; it is loaded when this is asked."""
    import requests
    from sigstore._internal.fulcio.client import ExpiredCertificate, FulcioClientError
    from sigstore._internal.rekor import RekorClientError
    from sigstore.errors import Error
    from sigstore.oidc import ExpiredIdentity, IssuerError

    return (
        Error,
        ExpiredCertificate,
        ExpiredIdentity,
        FulcioClientError,
        IssuerError,
        RekorClientError,
        requests.RequestException,
        OSError,
        *UNREADABLE,
    )


def _translated(service: str, error: Exception) -> ProvregError:
    from sigstore._internal.fulcio.client import ExpiredCertificate
    from sigstore.errors import VerificationError
    from sigstore.oidc import ExpiredIdentity, IdentityError

    if isinstance(error, ExpiredIdentity | IdentityError):
        return refused_token(error)
    if isinstance(error, VerificationError | ExpiredCertificate):
        return NotTrustedError(
            f"{service} answered what does not verify: {_said(error)}",
            step=3,
            hint="nothing was published: ask who runs this instance of Sigstore, or use another",
        )
    status = _status(error)
    if status in _TOKEN_STATUS and service == FULCIO:
        return UsageError(
            f"{service} refused the identity token (HTTP {status})",
            hint="get a new token from an issuer this instance knows, and sign again",
        )
    if status is not None:
        return StorageError(f"{service} answered with HTTP {status}", hint=AGAIN)
    return StorageError(f"{service} {_failure(error)}: {_said(error)}", hint=AGAIN)


def _failure(error: Exception) -> str:
    import requests
    from sigstore.errors import NetworkError, TUFError

    if isinstance(error, requests.ConnectionError | requests.Timeout | NetworkError | TUFError):
        return "cannot be reached"
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return "cannot be asked from here"
    return "answered what cannot be read"


def refused_token(error: Exception) -> UsageError:
    """What is wrong with a token, from the error that names the cause or is it."""
    return UsageError(
        f"the identity token is not taken: {_said(error.__cause__ or error)}",
        hint="get a new token, made for the audience 'sigstore', and sign again",
    )


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error of the clients, which keep it in differing places."""
    seen: Any = error
    for _ in range(4):
        if seen is None:
            return None
        response = getattr(seen, "response", None)
        if response is not None:
            return int(response.status_code)
        inner = seen.args[0] if seen.args and isinstance(seen.args[0], Exception) else None
        seen = inner or seen.__cause__ or seen.__context__
    return None


def _said(error: BaseException) -> str:
    text = str(error) or str(error.__cause__ or "") or type(error).__name__
    return quoted(text.strip().partition("\n")[0])
