// Compiles the policy account of a (mutated) tree: node accounts.mjs ROOT writes its artefacts there, or exits 1.
// The settings are those of contracts/compile.mjs; compiling everything would take three times as long.
import { createRequire } from "node:module";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = process.argv[2];
const contracts = join(root, "contracts");
const solc = createRequire(join(contracts, "package.json"))("solc");
const read = (file) => {
  for (const folder of [contracts, join(contracts, "node_modules")]) {
    if (existsSync(join(folder, file))) return { contents: readFileSync(join(folder, file), "utf8") };
  }
  return { error: `no such source: ${file}` };
};
const names = ["PolicyAccount", "PolicyAccounts"];
const path = (name) => `src/agents/${name}.sol`;
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [path(name), { content: read(path(name)).contents }])),
  settings: {
    viaIR: true,
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "cancun",
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: Object.fromEntries(
      names.map((name) => [path(name), { [name]: ["evm.bytecode.object", "evm.deployedBytecode.object"] }]),
    ),
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
if ((output.errors ?? []).some((error) => error.severity === "error")) process.exit(1);
for (const name of names) {
  const file = join(root, `src/troth/ledger/artefacts/${name}.json`);
  const { bytecode, deployedBytecode } = output.contracts[path(name)][name].evm;
  const artefact = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...artefact, bytecode: bytecode.object, deployed: deployedBytecode.object }) + "\n");
}
