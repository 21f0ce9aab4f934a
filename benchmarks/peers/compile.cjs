// node compile.cjs ROOT: the creation code of Halo2Verifier, whose source comes on standard input. Without the IR
// pipeline, which has too few stack slots for it.
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { createRequire } = require("node:module");
const solc = createRequire(join(process.argv[2], "contracts", "package.json"))("solc");
const settings = {
  optimizer: { enabled: true, runs: 200 }, evmVersion: "cancun",
  outputSelection: { source: { Halo2Verifier: ["evm.bytecode.object"] } },
};
const sources = { source: { content: readFileSync(0, "utf8") } };
const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
const code = output.contracts?.source?.Halo2Verifier?.evm.bytecode.object;
if (!code) process.exit(1);
console.log(code);
