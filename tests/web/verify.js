"use strict";
// Runs the report's verifier under Node: one JSON line in, one line out.
// In: {bundle, trust: base64 (trust null for none), says, without: algorithms this engine shall not have}.
// Instead: {suite: {key, message, value}} asks whether that ML-DSA-65 signature verifies, {json} whether bytes are
// canonical, {digest} for SHA-256, Keccak-256 and base58 of bytes, {table: name} for one of the verifier's tables,
// {proof: {headers, nodes, index, receipt}, block} for what a receipt proof proves.
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const readline = require("node:readline");

const [folder, ...names] = process.argv.slice(2);
for (const name of names) vm.runInThisContext(fs.readFileSync(path.join(folder, name), "utf8"), name);
const T = globalThis.Troth;
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const real = { ed25519: T.ed25519, mlDsa65: T.mlDsa65 };

function canonical(data) {
  try {
    T.json(data);
    return true;
  } catch (fault) {
    if (fault instanceof T.Malformed) return false;
    throw fault;
  }
}

function digests(data) {
  const base58 = T.base58(data);
  return { sha256: T.hex(T.sha256(data)), keccak256: T.hex(T.keccak256(data)), base58, cid: T.rawCid(data),
    back: T.hex(T.fromBase58(base58)) };
}

function receipt({ headers, nodes, index, receipt: value }, block) {
  const proof = { headers: headers.map(bytes), nodes: nodes.map(bytes), index, receipt: bytes(value) };
  try {
    return { outcome: "upheld", events: T.verifyReceipt(proof, block).logs.map((log) => T.hex(log.data)) };
  } catch (fault) {
    if (!(fault instanceof T.Fault)) throw fault;
    return { outcome: fault.constructor.name.toLowerCase() };
  }
}

async function answer(line) {
  const asked = JSON.parse(line);
  Object.assign(T, real);
  if (asked.suite) return T.mlDsa65(bytes(asked.suite.key), bytes(asked.suite.message), bytes(asked.suite.value));
  if (asked.json !== undefined) return canonical(bytes(asked.json));
  if (asked.digest !== undefined) return digests(bytes(asked.digest));
  if (asked.table) return T[asked.table];
  if (asked.proof) return receipt(asked.proof, bytes(asked.block));
  for (const name of asked.without || []) T[name] = async () => null;
  return T.verify(bytes(asked.bundle), asked.trust === null ? null : bytes(asked.trust), asked.says || T.SAYS);
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(line)) + "\n");
  }
})();
