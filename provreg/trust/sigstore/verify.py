"""Step 3 for bundles with a certificate: sigstore-python verifies them, offline.

See docs/guides/keyless.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.policy.policy import Proof, Signature
from provreg.core.statements.statement import PAYLOAD_TYPE
from provreg.errors import NotTrustedError, UsageError
from provreg.trust.bundle import BUNDLE_LIMIT, Bundle, CertificateMaterial
from provreg.trust.sigstore.adapter import UNREADABLE
from provreg.trust.sigstore.certificate import identity_of, run_of
from provreg.trust.sigstore.entry import check_log_entry
from provreg.trust.sigstore.root import PUBLIC_GOOD, TrustedRoot, log_ids

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle as SigstoreBundle
    from sigstore.verify import Verifier


class CertificateVerifier:
    """Verifies keyless bundles under a trusted root, without network.

    Loads sigstore-python and the root at the first bundle.
    """

    def __init__(self, root: TrustedRoot = PUBLIC_GOOD) -> None:
        self.root = root

    def __call__(self, bundle: Bundle) -> Signature:
        """The signer of `bundle` and its time, by a certificate and log under the trusted root.

        Raises NotTrustedError (step 3; step 1 for a malformed log entry), UsageError for an invalid
        trusted root.
        """
        from sigstore.errors import Error
        from sigstore.models import Bundle as SigstoreBundle

        verifier, logs = self._verifier
        material = Fields(parse_json(bundle.raw, what="the bundle", limit=BUNDLE_LIMIT), "bundle")
        entry = check_log_entry(material.object("verificationMaterial"), logs)
        try:
            theirs = SigstoreBundle.from_json(bundle.raw)
            kind, payload = verifier.verify_dsse(theirs, _AnyIdentity())
            signed_at, proof, stamped = _time(verifier, theirs, promised=entry.promised)
        except NotTrustedError:
            raise
        except (Error, *UNREADABLE) as error:
            raise NotTrustedError(
                f"the keyless signature does not verify under {self.root.origin}:"
                f" {quoted(str(error) or type(error).__name__)}",
                step=3,
                hint="for a private instance, pass its trusted root with --trusted-root FILE",
            ) from None
        certificate = theirs.signing_certificate
        # Two parsers read the same bytes: both must have found the same.
        if (kind, payload, CertificateMaterial(certificate.public_bytes(Encoding.DER))) != (
            PAYLOAD_TYPE, bundle.payload, bundle.material,
        ):  # fmt: skip
            raise NotTrustedError("the keyless signature is over another payload", step=3)
        identity, issuer = identity_of(certificate)
        run = run_of(certificate)
        return Signature(
            identity=identity,
            issuer=issuer,
            signed_at=signed_at,
            proof=proof,
            logged=True,
            stamped=stamped,
            repository=run.repository,
            ref=run.ref,
            environment=run.environment,
        )

    @cached_property
    def _verifier(self) -> tuple[Verifier, frozenset[bytes]]:
        import json

        from sigstore.errors import Error
        from sigstore.models import TrustedRoot as SigstoreRoot
        from sigstore.verify import Verifier
        from sigstore_models.trustroot.v1 import TrustedRoot as RootMessage

        try:
            text = self.root.text()
            verifier = Verifier(trusted_root=SigstoreRoot(RootMessage.from_json(text)))
            return verifier, log_ids(json.loads(text))
        except (Error, *UNREADABLE) as error:
            raise UsageError(
                f"{self.root.origin} cannot be used: {quoted(str(error))}",
                hint="ask the instance's operator for its trusted_root.json",
            ) from None


class _AnyIdentity:
    """Accepts every identity: provreg's policy decides in step 6."""

    def verify(self, cert: Certificate) -> None:
        identity_of(cert)


def _time(
    verifier: Verifier, bundle: SigstoreBundle, *, promised: bool
) -> tuple[datetime, Proof, bool]:
    """The time of a verified bundle, its proof, and whether it has a timestamp.

    If the log promised a time, it is the proof. Every timestamp must verify: the library ignores an
    invalid one beside another proof of time.
    """
    stamps = bundle.verification_material.timestamp_verification_data
    count = 0 if stamps is None else len(stamps.rfc3161_timestamps)
    # The library has no public access to times; the promise was verified with the entry.
    times = verifier._establish_time(bundle)
    if len(times) != count + promised:
        raise NotTrustedError("a timestamp of the bundle does not verify", step=3)
    logged = times[-1].time
    if promised:
        return logged.astimezone(UTC), "log", count > 0
    return min(moment.time for moment in times).astimezone(UTC), "tsa", True
