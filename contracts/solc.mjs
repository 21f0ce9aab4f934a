#!/usr/bin/env node
// solcjs as the command `solc`, as far as Forge, Halmos and Slither use it: --version, and --standard-json on its input.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const HERE = dirname(fileURLToPath(import.meta.url));
const args = process.argv.slice(2);

function read(path) {
  for (const root of [HERE, join(HERE, "node_modules")]) {
    const file = join(root, path);
    if (existsSync(file)) return { contents: readFileSync(file, "utf8") };
  }
  return { error: `no such source: ${path}` };
}

function compile(input) {
  return JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
}

// Slither reads no bytecode but wants its place in the answer; without making any, compiling takes seconds.
function standard() {
  const output = compile(JSON.parse(readFileSync(0, "utf8")));
  const none = { object: "", sourceMap: "" };
  for (const made of Object.values(output.contracts ?? {})) {
    for (const one of Object.values(made)) one.evm ??= { bytecode: none, deployedBytecode: none };
  }
  process.stdout.write(JSON.stringify(output));
}

if (args.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (args.includes("--standard-json")) {
  standard();
} else {
  console.error("solc.mjs answers --version and --standard-json");
  process.exit(2);
}
