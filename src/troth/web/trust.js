"use strict";
// The trust file: what whoever verifies believes beforehand. Read strictly; null where nothing is pinned.
(function (T) {
  const bad = (says) => { throw new T.Malformed(says); };
  const NAME = /^[a-z][a-z0-9-]{0,63}$/;
  const distinct = (items) => new Set(items).size === items.length;

  function address(text) { // EIP-55
    if (typeof text !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(text)) bad("not an address");
    const plain = text.slice(2).toLowerCase(), digest = T.hex(T.keccak256(T.utf8(plain)));
    const right = Array.from(plain, (letter, at) => parseInt(digest[at], 16) > 7 ? letter.toUpperCase() : letter);
    return right.join("") === text.slice(2) ? T.fromHex(plain) : bad("an address with a wrong checksum");
  }

  function readLog(value) {
    const { account, key, origin } = T.take(value, { account: "text|null", key: "text", origin: "text" });
    const pinned = T.readVkey(key);
    if (pinned.kind !== 1 || pinned.name !== origin) bad("log key of another log");
    return { origin, key: pinned, account: account === null ? null : address(account) };
  }

  function readWitnesses(value) {
    const { threshold, keys } = T.take(value, { threshold: "integer", keys: "list" });
    const found = T.texts(keys).map(T.readVkey);
    if (!distinct(found.map((key) => T.hex(key.raw))) || found.some((key) => key.kind === 1)) {
      bad("witness keys must be distinct and of type 4");
    }
    if (!distinct(found.map((key) => key.name))) bad("two witnesses of one name");
    if (threshold < 0 || threshold > found.length) bad("witness threshold out of reach");
    return { threshold, keys: found };
  }

  function readChain(value) {
    const { block, contracts, genesis, id } = T.take(
      value, { block: "object", contracts: "object", genesis: "text", id: "integer" });
    T.take(block, { number: "integer", hash: "text" });
    T.fromHex(genesis, 32);
    if (id < 1 || block.number < 0) bad("not a chain");
    const found = new Map(Object.entries(contracts).map(([name, text]) => [name, address(text)]));
    if (Array.from(found.keys()).some((name) => !NAME.test(name))) bad("contracts by a name that is none");
    return { id, number: BigInt(block.number), hash: T.fromHex(block.hash, 32), contracts: found };
  }

  function readRoles(value) {
    return new Map(Object.entries(value).map(([role, dids]) => {
      if (!NAME.test(role) || !Array.isArray(dids) || !dids.length || !distinct(T.texts(dids))) bad("not a role: " + role);
      return [role, dids];
    }));
  }

  // bytes: the file's. A final newline is forgiven.
  T.readTrust = (bytes) => {
    if (bytes.length > 1 << 22) bad("trust file too long");
    const found = T.take(T.json(bytes.at(-1) === 10 ? bytes.slice(0, -1) : bytes), {
      version: "integer", roles: "object", documents: "object", log: "object|null", witnesses: "object",
      chain: "object|null", policy: "object|null" });
    if (found.version !== 1) bad("trust file of another version");
    const { policy } = found;
    if (policy !== null && !(Object.hasOwn(policy, "name") && typeof policy.name === "string")) {
      bad("policy without a name");
    }
    for (const [did, digest] of Object.entries(found.documents)) {
      T.fromHex(digest, 32);
      if (!did.startsWith("did:")) bad("not a pinned document: " + did);
    }
    return {
      policy, roles: readRoles(found.roles), documents: Object.entries(found.documents),
      log: found.log && readLog(found.log), witnesses: readWitnesses(found.witnesses),
      chain: found.chain && readChain(found.chain),
    };
  };
})(globalThis.Troth ??= {});
