// Compiles one contract of a (mutated) tree: node compile.mjs ROOT PATH NAME prints its creation code, or exits 1.
// The settings are those of contracts/compile.mjs; compiling everything would take three times as long.
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [, , root, path, name] = process.argv;
const contracts = join(root, "contracts");
const solc = createRequire(join(contracts, "package.json"))("solc");
const read = (file) => {
  for (const folder of [contracts, join(contracts, "node_modules")]) {
    if (existsSync(join(folder, file))) return { contents: readFileSync(join(folder, file), "utf8") };
  }
  return { error: `no such source: ${file}` };
};
const input = {
  language: "Solidity",
  sources: { [path]: { content: read(path).contents } },
  settings: {
    viaIR: true,
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "cancun",
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { [path]: { [name]: ["evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
const code = output.contracts?.[path]?.[name]?.evm.bytecode.object;
if ((output.errors ?? []).some((error) => error.severity === "error") || !code) process.exit(1);
console.log(code);
