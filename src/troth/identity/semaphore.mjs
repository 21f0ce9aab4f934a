// Semaphore v4, asked by troth.identity.semaphore: one JSON request on standard input, one JSON answer on standard
// output. The packages are those of the folder it is started in; nothing is fetched.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const here = createRequire(pathToFileURL(join(process.cwd(), "package.json")));
const load = (name) => import(pathToFileURL(here.resolve(name)).href);
const asked = JSON.parse(readFileSync(0, "utf8"));
const { Identity } = await load("@semaphore-protocol/identity");
const person = () => new Identity(Buffer.from(asked.secret, "hex"));

async function group() {
  const { Group } = await load("@semaphore-protocol/group");
  return new Group(asked.members.map(BigInt));
}

const acts = {
  commitment: async () => String(person().commitment),
  root: async () => String((await group()).root),
  async prove() {
    const { generateProof } = await load("@semaphore-protocol/proof");
    const folder = dirname(here.resolve("@zk-kit/semaphore-artifacts/package.json"));
    const members = await group(), depth = Math.max(members.depth, 1);
    if (members.indexOf(person().commitment) < 0) return null;
    const files = { wasm: join(folder, `semaphore-${depth}.wasm`), zkey: join(folder, `semaphore-${depth}.zkey`) };
    return generateProof(person(), members, BigInt(asked.message), BigInt(asked.scope), depth, files);
  },
  async holds() {
    const { verifyProof } = await load("@semaphore-protocol/proof");
    const found = [];
    for (const proof of asked.proofs) {
      try {
        found.push(await verifyProof(proof));
      } catch {
        found.push(false);  // points that are on no curve
      }
    }
    return found;
  },
};
process.stdout.write(JSON.stringify(await acts[asked.act]()), () => process.exit(0));
