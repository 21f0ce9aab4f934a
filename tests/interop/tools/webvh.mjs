// did:webvh by didwebvh-ts: `resolve` checks a log from standard input; `write` makes one with Node's own Ed25519.
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import * as webvh from "didwebvh-ts";

const given = JSON.parse(readFileSync(0, "utf8"));
const verifier = {
  async verify(signature, message, raw) {
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(raw).toString("base64url") }, format: "jwk" });
    return verify(null, message, key, signature);
  },
};

function signer({ seed, multikey }) {
  const head = Buffer.from("302e020100300506032b657004220420", "hex");
  const key = createPrivateKey({ key: Buffer.concat([head, Buffer.from(seed, "hex")]), format: "der", type: "pkcs8" });
  return {
    getVerificationMethodId: () => `did:key:${multikey}#${multikey}`,
    async sign({ document, proof }) {
      const data = await webvh.prepareDataForSigning(document, proof);
      const value = sign(null, data, key);
      return { proofValue: webvh.multibaseEncode(value, webvh.MultibaseEncoding.BASE58_BTC) };
    },
  };
}

async function resolve({ log, witness, did, versionId }) {
  const options = { verifier, witnessProofs: witness, versionId, requestedDid: did };
  const { doc, meta } = await webvh.resolveDIDFromLog(log, options);
  return { doc, versionId: meta.versionId, deactivated: meta.deactivated };
}

async function write({ one, two, three }) {
  const made = await webvh.createDID({
    domain: "example.com", paths: ["org"], signer: signer(one), verifier, updateKeys: [one.multikey], portable: true,
    nextKeyHashes: [await webvh.deriveNextKeyHash(two.multikey)], created: "2025-01-01T00:00:00Z",
    verificationMethods: [{ type: "Multikey", publicKeyMultibase: one.multikey, purpose: "assertionMethod" }],
  });
  const rotated = await webvh.updateDID({
    log: made.log, signer: signer(two), verifier, updateKeys: [two.multikey], updated: "2025-01-02T00:00:00Z",
    nextKeyHashes: [await webvh.deriveNextKeyHash(three.multikey)],
    verificationMethods: [{ type: "Multikey", publicKeyMultibase: two.multikey, purpose: "assertionMethod" }],
  });
  return { did: rotated.did, log: rotated.log, doc: rotated.doc };
}

try {
  console.log(JSON.stringify(await { resolve, write }[process.argv[2]](given)));
} catch (error) {
  console.log(JSON.stringify({ error: String(error.message ?? error) }));
}
