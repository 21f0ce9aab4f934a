#!/usr/bin/env node
// solcjs as the command `solc`, as far as Forge, Halmos and Slither use it: --version, --standard-json (input on
// standard input), and --combined-json for syntax trees (Slither reads no bytecode, so none is made).
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
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

function standard() {
  const output = compile(JSON.parse(readFileSync(0, "utf8")));
  process.stdout.write(JSON.stringify(output));
}

function combined() {
  const files = args.filter((arg) => arg.endsWith(".sol")).map((file) => relative(HERE, resolve(file)));
  const output = compile({
    language: "Solidity",
    sources: Object.fromEntries(files.map((file) => [file, { content: read(file).contents }])),
    settings: { evmVersion: "cancun", outputSelection: { "*": { "": ["ast"], "*": ["abi", "devdoc", "userdoc"] } } },
  });
  const errors = (output.errors ?? []).filter((error) => error.severity === "error");
  for (const error of errors) process.stderr.write(error.formattedMessage);
  if (errors.length) process.exit(1);
  const none = { bin: "", "bin-runtime": "", srcmap: "", "srcmap-runtime": "", hashes: {} };
  const contracts = {};
  for (const [path, made] of Object.entries(output.contracts)) {
    for (const [name, { abi, devdoc, userdoc }] of Object.entries(made)) {
      contracts[`${path}:${name}`] = { abi, devdoc, userdoc, ...none };
    }
  }
  const paths = Object.keys(output.sources);
  const sources = Object.fromEntries(paths.map((path) => [path, { AST: output.sources[path].ast }]));
  process.stdout.write(JSON.stringify({ contracts, sources, sourceList: paths, version: solc.version() }));
}

if (args.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (args.includes("--standard-json")) {
  standard();
} else if (args.includes("--combined-json")) {
  combined();
} else {
  console.error("solc.mjs answers --version, --standard-json and --combined-json");
  process.exit(2);
}
