"""The identity, issuer and workflow run in a signing certificate."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.asn1 import decode_der
from cryptography.x509 import Certificate, UnsupportedGeneralNameType

from provreg.core.encoding.text import quoted
from provreg.errors import NotTrustedError

# Fulcio's extensions. Source: oid-info.md in sigstore/fulcio's documentation.
_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")  # the text itself
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")  # DER UTF8String
_REPOSITORY = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.12")
_REF = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.14")
_ENVIRONMENT = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.23")
_MAX_TEXT = 2048  # bytes, as in a policy


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """A run of a CI service: its source repository, ref and deployment environment.

    Each is None if it is not in the certificate. The repository is that of the run, even if it
    called a workflow of another repository, whose identity is in the certificate.
    """

    repository: str | None
    ref: str | None
    environment: str | None


def identity_of(certificate: Certificate) -> tuple[str, str]:
    """(identity, issuer) of a certificate that is otherwise verified.

    The identity is the e-mail address or URI of the subject alternative name. Raises
    NotTrustedError (step 3) for any other number or kind of names, for no issuer, and for two
    different ones.
    """
    issuers = {
        text for text in (_issuer_v1(certificate), _issuer_v2(certificate)) if text is not None
    }
    if len(issuers) != 1:
        found = "two different issuers" if issuers else "no issuer"
        raise NotTrustedError(f"the signing certificate has {found}", step=3)
    return _subject(certificate), issuers.pop()


def run_of(certificate: Certificate) -> WorkflowRun:
    """The run in a certificate. Raises NotTrustedError (step 3) for unreadable fields."""
    return WorkflowRun(
        _claim(certificate, _REPOSITORY, "repository"),
        _claim(certificate, _REF, "ref"),
        _claim(certificate, _ENVIRONMENT, "environment"),
    )


def claimed_identity(certificate: bytes) -> tuple[str, str] | None:
    """(identity, issuer) of a certificate that is not verified; None if it is unreadable."""
    try:
        return identity_of(x509.load_der_x509_certificate(certificate))
    except (NotTrustedError, ValueError):
        return None


def _subject(certificate: Certificate) -> str:
    value = _extension(certificate, x509.SubjectAlternativeName.oid)
    names = list(value) if isinstance(value, x509.SubjectAlternativeName) else []
    if len(names) == 1 and isinstance(names[0], x509.RFC822Name | x509.UniformResourceIdentifier):
        return _bounded(names[0].value, "identity")
    raise NotTrustedError(
        "the signing certificate does not have exactly one e-mail address or URI", step=3
    )


def _issuer_v1(certificate: Certificate) -> str | None:
    value = _extension(certificate, _ISSUER_V1)
    if not isinstance(value, x509.UnrecognizedExtension):
        return None
    try:
        return _bounded(value.value.decode("utf-8"), "issuer")
    except UnicodeDecodeError:
        raise NotTrustedError("the signing certificate's issuer is not UTF-8", step=3) from None


def _issuer_v2(certificate: Certificate) -> str | None:
    text = _utf8(certificate, _ISSUER_V2, "issuer")
    return None if text is None else _bounded(text, "issuer")


def _claim(certificate: Certificate, kind: x509.ObjectIdentifier, what: str) -> str | None:
    """An optional text; empty means absent, by Fulcio's definition."""
    text = _utf8(certificate, kind, what)
    return _bounded(text, what) if text else None


def _utf8(certificate: Certificate, kind: x509.ObjectIdentifier, what: str) -> str | None:
    value = _extension(certificate, kind)
    if not isinstance(value, x509.UnrecognizedExtension):
        return None
    try:
        return decode_der(str, value.value)
    except ValueError:
        raise NotTrustedError(
            f"the signing certificate's {what} is not a UTF8String", step=3
        ) from None


def _extension(certificate: Certificate, kind: x509.ObjectIdentifier) -> object:
    """The extension's value, None where there is none."""
    try:
        return certificate.extensions.get_extension_for_oid(kind).value
    except x509.ExtensionNotFound:
        return None
    except (x509.DuplicateExtension, UnsupportedGeneralNameType, ValueError):
        raise NotTrustedError("the signing certificate has unreadable extensions", step=3) from None


def _bounded(text: str, what: str) -> str:
    if not text or len(text.encode()) > _MAX_TEXT:
        raise NotTrustedError(
            f"the signing certificate's {what} is empty or too long: {quoted(text)}", step=3
        )
    return text
