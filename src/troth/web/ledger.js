"use strict";
// Where claims stood: RFC 6962 trees, signed notes, checkpoints, RLP, headers, receipts and their tries.
(function (T) {
  const bad = (says) => { throw new T.Malformed(says); };
  const refute = (says) => { throw new T.Refuted(says); };

  // Trees. Sizes and places are BigInt: a checkpoint may name up to 2^63 - 1 leaves.
  T.leafHash = (data) => T.sha256([0], data);
  const nodeHash = (left, right) => T.sha256([1], left, right);
  function split(size) {
    const width = (size - 1n).toString(2).length;
    return 1n << BigInt(width - 1);
  }
  // leaves: an (async) iterator of [place, leaf hash]; hashes: an iterator. The root they lead to.
  T.rootFromMulti = async (size, leaves, hashes) => {
    let leaf = (await leaves.next()).value;
    if (!leaf || size < 1n) refute("a proof for no leaves proves nothing");
    async function fold(low, high) {
      if (!leaf || leaf[0] >= high) {
        const found = hashes.next().value;
        return found || refute("a proof for many leaves is too short");
      }
      if (high - low === 1n) {
        if (leaf[0] !== low) refute("leaves out of order in a proof");
        const found = leaf[1];
        leaf = (await leaves.next()).value;
        return found;
      }
      const middle = low + split(high - low);
      const left = await fold(low, middle);
      return nodeHash(left, await fold(middle, high));
    }
    const root = await fold(0n, size);
    if (leaf) refute("a leaf outside the tree");
    if (!hashes.next().done) refute("a proof for many leaves is too long");
    return root;
  };

  // RFC 9162, 2.1.4.2.
  T.verifyConsistency = (old, size, oldRoot, root, path) => {
    if (old > size) refute("a log never shrinks");
    if (old === size) {
      if (path.length || !T.equal(oldRoot, root)) refute("trees of one size with different roots");
      return;
    }
    const rest = path[Symbol.iterator]();
    const take = () => rest.next().value || refute("a consistency proof that is too short");
    let fn = old - 1n, sn = size - 1n;
    while (fn & 1n) { fn >>= 1n; sn >>= 1n; }
    let first = fn ? take() : oldRoot, second = first;
    while (sn) {
      if (fn & 1n || fn === sn) {
        const sibling = take();
        first = nodeHash(sibling, first);
        second = nodeHash(sibling, second);
        while (fn && !(fn & 1n)) { fn >>= 1n; sn >>= 1n; }
      } else {
        second = nodeHash(second, take());
      }
      fn >>= 1n;
      sn >>= 1n;
    }
    if (!rest.next().done) refute("a consistency proof that is too long");
    if (!T.equal(first, oldRoot) || !T.equal(second, root)) refute("the newer tree does not extend the older");
  };

  // Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature).
  const SPACE = /[\s\x00-\x20\x7f\x85+]/;
  const keyName = (name) => !name || SPACE.test(name.replace(/\ufeff/g, "")) ? bad("not a key name") : name;
  T.readNote = (bytes) => {
    const whole = T.text(bytes);
    if (/[\x00-\x09\x0b-\x1f]/.test(whole)) bad("control character in a note");
    const cut = whole.lastIndexOf("\n\n") + 1;
    const lines = whole.slice(cut + 1).split("\n");
    if (cut < 2 || lines.pop() !== "" || lines.length < 1 || lines.length > 64) bad("not a signed note");
    const signatures = lines.map((line) => {
      const parts = line.replace(/^\u2014 /, "").split(" ");
      if (!line.startsWith("\u2014 ") || parts.length !== 2) bad("not a signature line");
      const data = T.fromBase64(parts[1]);
      if (data.length < 5) bad("signature too short");
      return { name: keyName(parts[0]), id: T.hex(data.slice(0, 4)), value: data.slice(4) };
    });
    return { text: T.utf8(whole.slice(0, cut)), signatures };
  };
  T.readCheckpoint = (bytes) => {
    const text = T.text(bytes);
    const [origin, size, root, ...extensions] = text.slice(0, -1).split("\n");
    if (root === undefined || !text.endsWith("\n") || !origin || extensions.includes("")
        || !/^(0|[1-9][0-9]{0,18})$/.test(size) || BigInt(size) >= 1n << 63n) bad("not a checkpoint");
    const digest = T.fromBase64(root);
    if (digest.length !== 32) bad("not a checkpoint");
    return { origin, size: BigInt(size), root: digest };
  };
  T.readVkey = (text) => {
    const [, name, id, key] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(text) || bad("not a verifier key");
    const data = T.fromBase64(key);
    keyName(name);
    if (data.length !== { 1: 33, 4: 33, 6: 1313 }[data[0]]) bad("not a note key");
    if (T.hex(T.sha256(T.utf8(name + "\n"), data).slice(0, 4)) !== id) bad("verifier key with the wrong key id");
    return { name, id, kind: data[0], raw: data.slice(1) };
  };
  // true, or null where this engine has no Ed25519.
  T.verifyNoteLine = async (line, key, text) => {
    if (line.name !== key.name || line.id !== key.id) refute("the checkpoint is signed by another key, " + line.name);
    if (key.kind === 6) return null;  // a browser has no ML-DSA
    let value = line.value, message = text;
    if (key.kind === 4) {
      const time = T.bigint(value.slice(0, 8));
      if (time >= 1n << 63n) refute("a witness's time out of range");
      message = T.concat(T.utf8("cosignature/v1\ntime " + time + "\n"), text);
      value = value.slice(8);
    }
    const right = await T.ed25519(key.raw, message, value);
    return right === false ? refute("signature of " + key.name + " does not verify") : right;
  };

  // RLP (yellow paper, appendix B): exactly what its encoder makes. Lists are arrays, strings Uint8Array.
  function item(data, at, end, depth) {
    if (at >= end) bad("RLP ends too early");
    const first = data[at];
    if (first < 0x80) return [data.slice(at, at + 1), at + 1];
    const list = first >= 0xc0, code = first - (list ? 0xc0 : 0x80);
    let start = at + 1, length = code;
    if (code >= 56) {
      const digits = data.slice(start, Math.min(start + code - 55, end));
      start += code - 55;
      if (start > end || digits[0] === 0 || digits.length > 6) bad("RLP with a bad length");
      length = Number(T.bigint(digits));
      if (length < 56) bad("RLP with a bad length");
    }
    if (start + length > end) bad("RLP ends too early");
    const stop = start + length;
    if (!list) {
      if (length === 1 && data[start] < 0x80) bad("RLP is not canonical");
      return [data.slice(start, stop), stop];
    }
    if (depth >= 16) bad("RLP nests too deeply");
    const items = [];
    while (start < stop) {
      const [found, next] = item(data, start, stop, depth + 1);
      items.push(found);
      start = next;
    }
    return [items, stop];
  }
  const rlpList = (data) => {
    const [found, end] = item(data, 0, data.length, 0);
    return end === data.length && Array.isArray(found) ? found : bad("not one RLP list");
  };
  const string = (found, size) => found instanceof Uint8Array && (size === undefined || found.length === size)
    ? found : bad("an RLP string of another size");
  const list = (found) => Array.isArray(found) ? found : bad("an RLP string in place of a list");
  const integer = (found) => string(found)[0] === 0 || found.length > 32 ? bad("not a canonical integer") : T.bigint(found);
  const rlpInteger = (value) => { // of a 32-bit value
    const digits = value ? T.fromHex(value.toString(16).padStart(8, "0")).slice(Math.clz32(value) >> 3) : new Uint8Array(0);
    return digits.length === 1 && digits[0] < 0x80 ? digits : T.concat([0x80 + digits.length], digits);
  };

  T.readHeader = (data) => {
    const fields = rlpList(data).map((field) => string(field));
    if (fields.length < 15) bad("a header has too few fields");
    for (const [at, size] of [[0, 32], [4, 32], [5, 32], [6, 256]]) string(fields[at], size);
    integer(fields[11]);
    return { parent: fields[0], receiptsRoot: fields[5], number: integer(fields[8]) };
  };
  function walkHeaders(headers, blockHash) {
    if (!T.equal(T.keccak256(headers.at(-1)), blockHash)) refute("the last header is not the pinned block");
    let child = T.readHeader(headers.at(-1));
    for (const raw of headers.slice(0, -1).reverse()) {
      if (!T.equal(T.keccak256(raw), child.parent)) refute("a header is not the parent of block " + child.number);
      const header = T.readHeader(raw);
      if (header.number + 1n !== child.number) refute("block numbers do not follow");
      child = header;
    }
    return child;
  }

  const nibbles = (data) => Array.from(data).flatMap((byte) => [byte >> 4, byte & 15]);
  // One node down: [child or value, how much of the path is used, or -1 once this is the value].
  function step(node, path, at) {
    if (node.length === 17) {
      const [child, after] = at === path.length ? [node[16], -1] : [node[path[at]], at + 1];
      return child.length === 0 && !Array.isArray(child) ? refute("the block has no receipt there") : [child, after];
    }
    if (node.length !== 2) bad("a trie node of another number of items");
    const encoded = string(node[0]), flag = encoded.length ? encoded[0] >> 4 : 4;
    if (flag > 3 || (!(flag & 1) && encoded[0] & 15)) bad("a trie node's path is not hex-prefix encoded");
    const part = nibbles(encoded).slice(flag & 1 ? 1 : 2), after = at + part.length;
    const leaf = Boolean(flag & 2);
    if (part.some((nibble, k) => path[at + k] !== nibble) || (leaf && after !== path.length)) {
      refute("the block has no receipt there");
    }
    return [node[1], leaf ? -1 : after];
  }
  function walkTrie(nodes, root, key) {
    const path = nibbles(key);
    let expected = root, at = 0, used = 0, child;
    while (at >= 0) {
      if (used === nodes.length) refute("the trie nodes end before the receipt");
      if (!T.equal(T.keccak256(nodes[used]), expected)) refute("a trie node has another hash");
      child = rlpList(nodes[used]);
      used += 1;
      do { [child, at] = step(child, path, at); } while (at >= 0 && Array.isArray(child));
      if (at >= 0) expected = string(child, 32);
    }
    if (used < nodes.length) refute("trie nodes that lead nowhere");
    return string(child);
  }

  function bloomOf(logs) {
    const bloom = new Uint8Array(256);
    for (const value of logs.flatMap((log) => [log.address, ...log.topics])) {
      const digest = T.keccak256(value);
      for (const at of [0, 2, 4]) {
        const bit = (digest[at] << 8 | digest[at + 1]) & 2047;
        bloom[255 - (bit >> 3)] |= 1 << (bit & 7);
      }
    }
    return bloom;
  }
  function readReceipt(data) {
    const parts = rlpList(data.length && data[0] > 0 && data[0] < 0x80 ? data.slice(1) : data);
    if (parts.length !== 4) bad("a receipt has the wrong number of fields");
    const status = integer(parts[0]);
    if (status > 1n) bad("a receipt's status is neither 0 nor 1");
    const logs = list(parts[3]).map((found) => {
      const [address, topics, rest, surplus] = list(found);
      if (rest === undefined || surplus !== undefined) bad("a log has the wrong number of fields");
      const log = { address: string(address, 20), topics: list(topics).map((topic) => string(topic, 32)),
        data: string(rest) };
      return log.topics.length > 4 ? bad("a log has too many topics") : log;
    });
    integer(parts[1]);
    if (!T.equal(string(parts[2]), bloomOf(logs))) bad("a receipt's bloom is not that of its logs");
    return { logs, status: status === 1n };
  }
  T.verifyReceipt = (proof, blockHash) => {
    if (!proof.headers.length || !proof.nodes.length) bad("a receipt proof without headers or nodes");
    const first = walkHeaders(proof.headers, blockHash);
    const value = walkTrie(proof.nodes, first.receiptsRoot, rlpInteger(proof.index));
    if (!T.equal(value, proof.receipt)) refute("the receipt is not the one in the block's trie");
    return readReceipt(proof.receipt);
  };
})(globalThis.Troth ??= {});
