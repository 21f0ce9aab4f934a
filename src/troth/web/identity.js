"use strict";
// Who must sign: did:key, hybrid documents (did:peer:4) with pre-rotation, and signatures by suite.
// A suite that this engine cannot verify is never taken for verified: its checks are counted in `unchecked`.
(function (T) {
  const bad = (says) => { throw new T.Malformed(says); };
  const refute = (says) => { throw new T.Refuted(says); };

  // Each suite: multicodec prefix, sizes, whether bytes are a key, and `check`: true, false, or null (could not).
  T.SUITES = {
    "ed25519": { prefix: [0xed, 0x01], size: 32, signature: 64, good: T.isEd25519Key,
      check: (key, message, value) => T.ed25519(key, message, value) },
    "secp256k1": { prefix: [0xe7, 0x01], size: 33, signature: 64, good: T.isSecp256k1Key,
      check: (key, message, value) => T.secp256k1(key, message, value) },
    "ml-dsa-65": { prefix: [0x91, 0x24], size: 1952, signature: 3309, good: () => true,
      check: (key, message, value) => T.mlDsa65(key, message, value) },
  };
  const importKey = async (algorithm, key) => {
    try {
      return await globalThis.crypto.subtle.importKey("raw", key, algorithm, false, ["verify"]);
    } catch (error) {
      return null; // this engine lacks the algorithm (or runs where it offers no cryptography)
    }
  };
  T.ed25519 = async (key, message, value) => {
    const imported = await importKey({ name: "Ed25519" }, key);
    if (imported) return globalThis.crypto.subtle.verify({ name: "Ed25519" }, imported, value, message);
    return value.length === 64 ? null : false;
  };

  T.multikey = (bytes) => {
    for (const [suite, made] of Object.entries(T.SUITES)) {
      if (bytes[0] === made.prefix[0] && bytes[1] === made.prefix[1]) {
        const raw = bytes.slice(2);
        if (raw.length !== made.size || !made.good(raw)) bad("weak or malformed " + suite + " key");
        return { suite, raw, bytes };
      }
    }
    return bad("unknown key type");
  };

  T.isKeyDid = (did) => did.startsWith("did:key:");
  const known = new Map();
  T.readKeyDid = (did) => {
    let key = known.get(did);
    if (!key) {
      const text = did.slice("did:key:".length);
      key = T.multikey(T.multibase(text));
      if (multibaseOf(key) !== text) bad("did:key in another spelling");
      known.set(did, key);
    }
    return key;
  };

  // Documents.
  const NAMES = ["ed25519", "ml-dsa-65"];
  const CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"];
  const RECIPIENT = "urn:troth:hpke:mlkem768-x25519";
  const commitment = (key) => T.hex(T.sha256(T.utf8("troth/next-key/v1\n"), key.bytes));
  const multibaseOf = (key) => key.raw.length < 64 ? "z" + T.base58(key.bytes) : "u" + T.base64url(key.bytes);

  // What a document must look like, byte for byte, given what it says.
  function documentBytes(said) {
    const names = said.keys.map((key) => "#" + key.suite + "-" + said.version);
    const methods = said.keys.map((key, at) => (
      { id: names[at], publicKeyMultibase: multibaseOf(key), type: "Multikey" }));
    const agreement = [];
    if (said.recipient) {
      agreement.push("#hpke-" + said.version);
      methods.push({ id: agreement[0], publicKeyMultibase: "u" + T.base64url(said.recipient), type: RECIPIENT });
    }
    const troth = { next: said.next, previous: said.previous, suites: NAMES, version: said.version };
    if (said.recovery) troth.recovery = said.recovery;
    if (said.place) troth.place = said.place;
    return T.canonical({
      "@context": CONTEXT, assertionMethod: names, authentication: names, keyAgreement: agreement, troth,
      verificationMethod: methods,
    });
  }

  T.readDocument = (bytes) => {
    const found = T.take(T.json(bytes), { "@context": "list", assertionMethod: "list", authentication: "list",
      keyAgreement: "list", troth: "object", verificationMethod: "list" });
    const own = (name) => Object.hasOwn(found.troth, name) ? found.troth[name] : null;
    const suites = own("suites"), version = own("version"), next = own("next"), previous = own("previous");
    if (JSON.stringify(suites) !== JSON.stringify(NAMES)) refute("a document that weakens its suites");
    if (typeof version !== "number" || !Array.isArray(next)) bad("unreadable identity document");
    const material = found.verificationMethod.map((method) => {
      const text = method && Object.hasOwn(method, "publicKeyMultibase") ? method.publicKeyMultibase : null;
      return typeof text === "string" ? T.multibase(text) : bad("unreadable verification method");
    });
    const recipient = found.keyAgreement.length && material.length ? material.pop() : null;
    if (previous !== null) T.fromHex(previous, 32);
    const keys = material.map(T.multikey);
    next.forEach((item) => T.fromHex(item, 32));
    const recovery = recoveryOf(own("recovery")), place = own("place");
    if (place !== null) T.fromHex(place, 32);
    if (keys.length !== 2 || keys.some((key, at) => key.suite !== NAMES[at]) || ![0, 2].includes(next.length)) {
      refute("a document that weakens its suites");
    }
    if (keys.some((key) => next.includes(commitment(key)))) refute("a document that commits to its own keys");
    if ((version === 0) !== (previous === null) || version < 0) bad("version and previous document do not fit");
    const ended = next.length === 0;
    if (version === 0 && (ended || recovery)) refute("a first document that ends its identity, or that guardians made");
    if (ended && (recovery || recipient || place)) refute("a document that ends its identity, and more");
    if (recipient && (recipient.length < 1 || recipient.length > 4096)) bad("wrong size of a recipient key");
    const said = { version, previous, keys, next, recipient, recovery, place, ended };
    if (!T.equal(documentBytes(said), bytes)) bad("an identity document with other members than the format's");
    said.digest = T.hex(T.sha256(bytes));
    said.methods = keys.map((key) => "#" + key.suite + "-" + version);
    return said;
  };

  // By how many of how many guardians a document says it was made; null: by the holder.
  function recoveryOf(said) {
    if (said === null) return null;
    const { by, of } = T.take(said, { by: "integer", of: "integer" });
    if (by < 1 || by > of || of > 16) bad("not a quorum of guardians");
    return { by, of };
  }

  T.peer4 = (bytes) => {
    const encoded = "z" + T.base58(T.concat([0x80, 0x04], bytes));
    return "did:peer:4z" + T.base58(T.concat([0x12, 0x20], T.sha256(T.utf8(encoded))));
  };

  // The histories known, and the checks that could not be made: suite -> count.
  T.KeyBook = class KeyBook {
    constructor() {
      this.histories = new Map();
      this.unchecked = new Map();
      this.recovered = []; // [did, document] that guardians made, by their own word: somebody must vouch for them
    }

    learn(bytes) {
      const document = T.readDocument(bytes);
      if (document.version !== 0) bad("not a first document");
      const did = T.peer4(bytes);
      if (!this.histories.has(did)) this.histories.set(did, [document]);
      return did;
    }

    history(did) {
      const found = this.histories.get(did);
      if (!found) throw new T.Undecidable("the document of this issuer is not known: " + did);
      return found;
    }

    head(did) {
      return this.history(did).at(-1);
    }

    require(did, digest) {
      const found = this.history(did).find((document) => document.digest === digest);
      return found ? found.version
        : refute("an old or forked history: it lacks the document that is known, " + digest);
    }

    // The names of the keys that must sign now.
    methods(did) {
      if (!T.isKeyDid(did)) return this.head(did).methods.map((name) => did + name);
      T.readKeyDid(did);
      return [did + "#" + did.slice("did:key:".length)];
    }

    async verify(did, message, values) {
      if (!T.isKeyDid(did) && this.head(did).ended) refute("signed after the identity's end: " + did);
      const keys = T.isKeyDid(did) ? [T.readKeyDid(did)] : this.head(did).keys;
      await this.check(did, keys, message, values);
    }

    async check(did, keys, message, values) {
      if (values.length !== keys.length) {
        refute("wrong number of signatures: expected " + keys.map((key) => key.suite).join(" and ") + ", found "
          + values.length);
      }
      for (const [at, key] of keys.entries()) {
        const suite = T.SUITES[key.suite];
        const right = values[at].length === suite.signature && await suite.check(key.raw, message, values[at]);
        if (right === null) this.unchecked.set(key.suite, (this.unchecked.get(key.suite) || 0) + 1);
        else if (!right) refute("wrong " + key.suite + " signature by " + did);
      }
    }

    // A change of documents: continues the history, reveals the keys committed to, is signed by them.
    async rotate(statement, message, values) {
      const did = statement.issuer, documents = this.history(did);
      const head = documents.at(-1);
      const document = rotationDocument(statement);
      if (document.methods.length !== values.length) refute("a change of documents with other signatures");
      if (document.version < documents.length) {
        if (document.digest !== documents[document.version].digest) refute("forked history");
        refute("a change of documents that changes nothing");
      }
      if (document.version > documents.length) throw new T.Undecidable("versions of this identity are missing");
      if (head.ended) refute("a change of keys after the identity's end");
      if (document.previous !== head.digest) refute("a change that does not follow the document before it");
      if (!document.recovery && document.keys.map(commitment).join() !== head.next.join()) {
        refute("a change to keys not committed to");
      }
      if (document.recovery && (!head.place || document.place !== head.place)) {
        refute("made by guardians of a registry's entry that the document before does not name");
      }
      await this.check(did, document.keys, message, values);
      if (document.recovery) this.recovered.push([did, document]);
      documents.push(document);
    }
  };

  function rotationDocument(statement) {
    if (statement.version !== 1 || statement.refs.length || statement.evidence.length) bad("not a change of documents");
    const said = T.take(statement.body, { document: "text", version: "integer" });
    const bytes = T.utf8(said.document), document = T.readDocument(bytes);
    if (document.version !== said.version || said.version === 0) bad("a change whose version is not its document's");
    const [subject, second] = statement.subjects;
    if (second || subject.name !== statement.issuer || Object.keys(subject.digest).join() !== "sha256"
        || subject.digest.sha256 !== document.digest) {
      refute("a change of documents whose subject is not its document");
    }
    return document;
  }
})(globalThis.Troth ??= {});
