// did:ethr by ethr-did-resolver: resolves an identifier, also at blocks, on the node it is given.
import { readFileSync } from "node:fs";
import { Resolver } from "did-resolver";
import { getResolver } from "ethr-did-resolver";

const { url, chainId, registry, dids } = JSON.parse(readFileSync(0, "utf8"));
const resolver = new Resolver(getResolver({ networks: [{ name: "test", chainId, rpcUrl: url, registry }] }));
const found = {};
for (const did of dids) found[did] = await resolver.resolve(did);
console.log(JSON.stringify(found));
process.exit(0);
