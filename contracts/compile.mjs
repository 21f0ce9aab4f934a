// Compiles the contracts whose sources changed and writes their artefacts, or with --check compiles all of them and
// compares with what is committed. Usage: node compile.mjs [--check]. Reads only this folder; writes
// ../src/troth/ledger/artefacts (shipped in the package), ../tests/contracts/artefacts (hostile tokens and policies, for
// the tests alone), and sources.json beside it.
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
};
const WANTED = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"];

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

const IMPORT = /^import\s+(?:[^"';]*from\s+)?"([^"]+)"/gm;

// A file and all that it imports, by path, in order.
function closure(path, found = new Map()) {
  if (found.has(path)) return found;
  const { contents, error } = read(path);
  if (error) throw new Error(error);
  found.set(path, contents);
  for (const [, name] of contents.matchAll(IMPORT)) {
    closure(name.startsWith(".") ? join(dirname(path), name) : name, found);
  }
  return found;
}

function of(path) {
  const hash = createHash("sha256").update(`${solc.version()}\0${JSON.stringify(SETTINGS)}\n`);
  for (const [name, text] of [...closure(path)].sort(([one], [other]) => (one < other ? -1 : 1))) {
    hash.update(`${name}\0${createHash("sha256").update(text).digest("hex")}\n`);
  }
  return hash.digest("hex");
}

// Each file by itself: what the compiler makes of a contract depends on what else it was given in the same run.
function compile(path) {
  const input = {
    language: "Solidity",
    sources: { [path]: { content: read(path).contents } },
    settings: { ...SETTINGS, outputSelection: { [path]: { "*": WANTED } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors ?? []).filter((error) => error.severity === "error" || !error.sourceLocation?.file?.startsWith("@"));
  if (errors.length) {
    for (const error of errors) console.error(error.formattedMessage);
    process.exit(1);
  }
  return output.contracts?.[path] ?? {};
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

// The artefacts of one file: where each goes, and its text.
function artefacts(path) {
  const files = new Map();
  const kind = path.startsWith("src/") ? "src" : "test";
  for (const [name, made] of Object.entries(compile(path))) {
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

// sources.json: the two digests, and for each of our files what it was compiled from and the artefacts it gave, so that
// only what changed is compiled again.
const known = existsSync(DIGESTS) ? (JSON.parse(readFileSync(DIGESTS, "utf8")).files ?? {}) : {};
const check = process.argv.includes("--check");
const files = new Map();
const made = {};
for (const path of [...sources("src"), ...sources("test")]) {
  const from = of(path);
  const before = known[path];
  const places = (before?.artefacts ?? []).map((place) => join(HERE, place));
  const current = !check && before?.from === from && places.every((file) => existsSync(file));
  const found = current ? new Map(places.map((file) => [file, readFileSync(file, "utf8")])) : artefacts(path);
  for (const [file, text] of found) {
    files.set(file, text);
    if (!current && !check) console.log(`${relative(HERE, file)}: ${JSON.parse(text).deployed.length / 2} bytes of code`);
  }
  made[path] = { from, artefacts: [...found.keys()].map((file) => relative(HERE, file)) };
}
files.set(DIGESTS, JSON.stringify({ shipped: digest(["src"]), tests: digest(["src", "test"]), files: made }, null, 1) + "\n");

if (check) {
  const wrong = stale(files);
  if (wrong.length) {
    console.error(`artefacts do not match the sources: ${wrong.join(", ")}. Run: node compile.mjs`);
    process.exit(1);
  }
  console.log(`${files.size - 1} artefacts match the sources`);
} else {
  for (const folder of Object.values(PLACES)) {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.endsWith(".json") && !files.has(join(folder, name))) rmSync(join(folder, name));
  }
  for (const [file, text] of files) writeFileSync(file, text);
}
