// Compiles the contracts and writes their artefacts, or with --check compares them with what is committed.
// Usage: node compile.mjs [--check]. Reads only this folder; writes ../src/troth/ledger/artefacts (shipped in the
// package), ../tests/contracts/artefacts (hostile tokens and policies, for the tests alone), and sources.json beside it.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const HERE = dirname(fileURLToPath(import.meta.url));
const SHIPPED = [
  "Book", "Shape", "Anchor", "Credits", "Forwarder",
  "Assumed", "Rerun", "Signed", "Preimage", "Quorum", "Median",
  "Vote", "Ballots", "Quote", "Mandated", "Revocations", "Licences",
  "Identities", "LogOwners", "Anchored", "Keys", "Proof", "Programs",
  "Court", "Jury", "Seat", "Jobs", "Royalties", "PolicyAccount", "PolicyAccounts",
];
const PLACES = {
  src: join(HERE, "../src/troth/ledger/artefacts"),
  test: join(HERE, "../tests/contracts/artefacts"),
};
const SETTINGS = {
  viaIR: true,
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  // No metadata: two compilations of the same code give the same bytes, so code hashes can be pinned.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: {
    "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"] },
  },
};

function sources(folder) {
  return readdirSync(join(HERE, folder), { recursive: true })
    .filter((name) => name.endsWith(".sol"))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .sort();
}

function read(path) {
  // The last holds other people's contracts that the tests run ours against; nothing shipped may import from it.
  for (const root of [HERE, join(HERE, "node_modules"), join(HERE, "../tests/tools/node_modules")]) {
    const file = join(root, path);
    if (existsSync(file)) return { contents: readFileSync(file, "utf8") };
  }
  return { error: `no such source: ${path}` };
}

function compile() {
  const own = [...sources("src"), ...sources("test")];
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(own.map((path) => [path, { content: read(path).contents }])),
    settings: SETTINGS,
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors ?? []).filter((error) => error.severity === "error" || !error.sourceLocation?.file?.startsWith("@"));
  if (errors.length) {
    for (const error of errors) console.error(error.formattedMessage);
    process.exit(1);
  }
  return output;
}

// Over all that decides the outcome: our sources, the pinned libraries and compiler, and this script. Python can
// compute it too, so a changed source without new artefacts is noticed where there is no compiler. It stands in one
// file, so that an artefact changes only when its contract does.
const DIGESTS = join(HERE, "sources.json");

function digest(folders) {
  const hash = createHash("sha256");
  for (const path of [...folders.flatMap(sources), "compile.mjs", "package-lock.json"]) {
    hash.update(`${path}\0${createHash("sha256").update(readFileSync(join(HERE, path))).digest("hex")}\n`);
  }
  return hash.digest("hex");
}

function artefacts(output) {
  const digests = { shipped: digest(["src"]), tests: digest(["src", "test"]) };
  const files = new Map([[DIGESTS, JSON.stringify(digests, null, 2) + "\n"]]);
  for (const [path, contracts] of Object.entries(output.contracts)) {
    const kind = path.startsWith("src/") ? "src" : path.startsWith("test/") ? "test" : null;
    if (kind === null) continue;
    for (const [name, made] of Object.entries(contracts)) {
      const runtime = made.evm.deployedBytecode;
      if (!made.evm.bytecode.object || (kind === "src" && !SHIPPED.includes(name))) continue;
      if (Object.keys(runtime.immutableReferences ?? {}).length === 0) delete runtime.immutableReferences;
      const artefact = {
        name,
        compiler: solc.version(),
        settings: { viaIR: SETTINGS.viaIR, runs: SETTINGS.optimizer.runs, evmVersion: SETTINGS.evmVersion },
        abi: made.abi,
        bytecode: made.evm.bytecode.object,
        deployed: runtime.object,
        immutables: Object.values(runtime.immutableReferences ?? {}).map((places) => places.map(({ start }) => start)),
      };
      files.set(join(PLACES[kind], `${name}.json`), JSON.stringify(artefact) + "\n");
    }
  }
  return files;
}

function stale(files) {
  const wrong = [];
  for (const [file, text] of files) {
    if (!existsSync(file) || readFileSync(file, "utf8") !== text) wrong.push(relative(HERE, file));
  }
  for (const folder of Object.values(PLACES)) {
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      if (name.endsWith(".json") && !files.has(join(folder, name))) wrong.push(relative(HERE, join(folder, name)));
    }
  }
  return wrong;
}

const files = artefacts(compile());
if (process.argv.includes("--check")) {
  const wrong = stale(files);
  if (wrong.length) {
    console.error(`artefacts do not match the sources: ${wrong.join(", ")}. Run: node compile.mjs`);
    process.exit(1);
  }
  console.log(`${files.size - 1} artefacts match the sources`);
} else {
  for (const folder of Object.values(PLACES)) {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.endsWith(".json")) rmSync(join(folder, name));
  }
  for (const [file, text] of files) {
    writeFileSync(file, text);
    if (file === DIGESTS) continue;
    const size = JSON.parse(text).deployed.length / 2;
    console.log(`${relative(HERE, file)}: ${size} bytes of code`);
  }
}
