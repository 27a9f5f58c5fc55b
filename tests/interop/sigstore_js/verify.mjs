// Verifies a bundle over a head with sigstore-js, without a network:
//   node verify.mjs HEAD BUNDLE TRUSTED_ROOT IDENTITY ISSUER
//   node verify.mjs HEAD BUNDLE --key PUBLIC_KEY
import { createHash, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";

const [headFile, bundleFile, ...trusted] = process.argv.slice(2);
const bundle = bundleFromJSON(JSON.parse(readFileSync(bundleFile, "utf8")));

function byKey(file) {
  const der = createPublicKey(readFileSync(file)).export({ type: "spki", format: "der" });
  const hint = createHash("sha256").update(der).digest("base64");
  // A signature with a key has no certificate, log entry or time to count.
  const none = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 };
  const material = toTrustMaterial(TrustedRoot.fromJSON({}), { [hint]: { rawBytes: der } });
  return new Verifier(material, none).verify(toSignedEntity(bundle));
}

function byIdentity(rootFile, identity, issuer) {
  const root = TrustedRoot.fromJSON(JSON.parse(readFileSync(rootFile, "utf8")));
  const escaped = identity.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const policy = { subjectAlternativeName: `^${escaped}$`, extensions: { issuer } };
  return new Verifier(toTrustMaterial(root)).verify(toSignedEntity(bundle), policy);
}

if (trusted[0] === "--key") byKey(trusted[1]);
else byIdentity(...trusted);

// The library verifies who signed the statement; that it is over this head is for its caller.
const { payload, payloadType } = bundle.content.dsseEnvelope;
const statement = JSON.parse(payload);
const digest = createHash("sha256").update(readFileSync(headFile)).digest("hex");
if (payloadType !== "application/vnd.in-toto+json" || statement.subject[0].digest.sha256 !== digest)
  throw new Error("the statement is not over this head");
console.log(`verified: ${statement.subject[0].name}`);
