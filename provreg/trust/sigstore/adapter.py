"""The adapter to sigstore-python: it turns its exceptions into provreg's errors and adds time-outs.

sigstore-python raises more than its `Error`: also errors of requests, pydantic and cryptography,
and own classes without a common base. Its requests to Fulcio and Rekor have no time-out, so calls
run in a thread that is abandoned if it takes too long.
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

# Exceptions of libraries for unexpected documents. Those of pydantic and base64 are ValueErrors.
UNREADABLE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    InvalidSignature, UnsupportedAlgorithm, DuplicateExtension, ExtensionNotFound, InvalidVersion,
    UnsupportedGeneralNameType,
)  # fmt: skip
_TOKEN_STATUS = frozenset({400, 401, 403})

# Without a handler its warnings would be printed on standard error.
logging.getLogger("sigstore").addHandler(logging.NullHandler())


def call_with_timeout(service: str, limit: float, call: Callable[[], T]) -> T:
    """The result of `call` within `limit` seconds; `service` names the service in messages.

    Raises UsageError for a refused token, StorageError if the service is down, slow or its response
    unreadable, NotTrustedError (step 3) if its response does not verify.
    """
    try:
        return start_abandonable(call, f"asking {service}").result(limit)
    except ProvregError:
        raise
    except _expected() as error:
        if isinstance(error, TimeoutError):
            late = f"{service} did not answer within {limit:g} seconds"
            raise StorageError(late, hint=AGAIN) from None
        raise _translate(service, error) from error


def _expected() -> tuple[type[Exception], ...]:
    """All exceptions of the library, which this loads."""
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


def _translate(service: str, error: Exception) -> ProvregError:
    from sigstore._internal.fulcio.client import ExpiredCertificate
    from sigstore.errors import VerificationError
    from sigstore.oidc import ExpiredIdentity, IdentityError

    if isinstance(error, ExpiredIdentity | IdentityError):
        return refused_token(error)
    if isinstance(error, VerificationError | ExpiredCertificate):
        return NotTrustedError(
            f"{service} returned a response that does not verify: {_text_of(error)}",
            step=3,
            hint="nothing was published: ask the operator of this Sigstore instance",
        )
    status = _status(error)
    if status in _TOKEN_STATUS and service == FULCIO:
        return UsageError(
            f"{service} refused the identity token (HTTP {status})",
            hint="get a new token from an issuer that this instance accepts, and sign again",
        )
    if status is not None:
        return StorageError(f"{service} answered with HTTP {status}", hint=AGAIN)
    return StorageError(f"{service} {_failure(error)}: {_text_of(error)}", hint=AGAIN)


def _failure(error: Exception) -> str:
    import requests
    from sigstore.errors import NetworkError, TUFError

    if isinstance(error, requests.ConnectionError | requests.Timeout | NetworkError | TUFError):
        return "cannot be reached"
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return "cannot be called from here"
    return "returned an unreadable response"


def refused_token(error: Exception) -> UsageError:
    """The error for a refused token; its reason is the cause of `error`, or `error` itself."""
    return UsageError(
        f"the identity token is refused: {_text_of(error.__cause__ or error)}",
        hint="get a new token, made for the audience 'sigstore', and sign again",
    )


def _status(error: BaseException | None) -> int | None:
    """The HTTP status of an error of the clients, which store it in different places."""
    current: Any = error
    for _ in range(4):
        if current is None:
            return None
        response = getattr(current, "response", None)
        if response is not None:
            return int(response.status_code)
        inner = current.args[0] if current.args and isinstance(current.args[0], Exception) else None
        current = inner or current.__cause__ or current.__context__
    return None


def _text_of(error: BaseException) -> str:
    text = str(error) or str(error.__cause__ or "") or type(error).__name__
    return quoted(text.strip().partition("\n")[0])
