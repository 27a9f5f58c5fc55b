"""A Sigstore of one's own on 127.0.0.1, for tests: the real client runs end to end against it.

`Instance` starts it and injects faults by name. What stands in for what:

- `oidc`: the identity provider (OpenID Connect: discovery, authorisation code, tokens);
- `fulcio`: the certificate authority, and the certificate transparency log's signature (SCT);
- `rekor`: the transparency log, API versions 1 and 2, over the Merkle tree in `tree`;
- `tsa`: the timestamp authority (RFC 3161);
- `web`: the one HTTP server they all answer through, and what can break in a server;
- `faults`: every fault there is, by name; `authority` and `der`: certificates and ASN.1.

Nothing here is meant to be safe: it is what the client must be safe against.
"""

from sigstore_instance.faults import BREAKDOWNS, LIES, SERVICES
from sigstore_instance.instance import Instance

__all__ = ["BREAKDOWNS", "LIES", "SERVICES", "Instance"]
