"use strict";
// Runs the report's verifier under Node: one JSON line in, one line out.
// In: {bundle, trust: base64 (trust null for none), says, without: algorithms this engine shall not have}.
// With "suite": {key, message, value: base64} instead, answers whether that ML-DSA-65 signature verifies.
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const readline = require("node:readline");

const [folder, ...names] = process.argv.slice(2);
for (const name of names) vm.runInThisContext(fs.readFileSync(path.join(folder, name), "utf8"), name);
const T = globalThis.Troth;
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const real = { ed25519: T.ed25519, mlDsa65: T.mlDsa65 };

async function answer(line) {
  const asked = JSON.parse(line);
  if (asked.suite) return T.mlDsa65(bytes(asked.suite.key), bytes(asked.suite.message), bytes(asked.suite.value));
  Object.assign(T, real);
  for (const name of asked.without || []) T[name] = async () => null;
  return T.verify(bytes(asked.bundle), asked.trust === null ? null : bytes(asked.trust), asked.says || T.SAYS);
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(line)) + "\n");
  }
})();
