"use strict";
// A second, independent verifier of bundles: the twelve numbered steps of docs/reference/bundle.md.
// It applies no policy and executes nothing again. What this engine cannot check (a signature suite it lacks) is
// reported as undecidable, never as upheld.
(function (T) {
  const NAMES = ["container", "statements", "identities", "signatures", "references", "batches", "log", "checkpoint",
    "anchor", "roles", "policy", "re-execution"];
  const CONSISTENT = "consistent with itself; nobody you trust vouches for it";
  const EVENT = "Anchored(address,bytes32,uint64,bytes32)";
  // Which roles a policy lets say what (docs/kinds); a kind not named here may be said by any role.
  T.SAYS = {
    "federated-model": {
      plan: ["sponsor"], model: ["sponsor"], listing: ["hospital", "sponsor"], update: ["hospital"],
      aggregate: ["aggregator"], commitments: ["aggregator"], verdict: ["verifier"],
    },
  };
  const refute = (says) => { throw new T.Refuted(says); };
  const cannot = (says) => { throw new T.Undecidable(says); };
  const outcomeOf = (fault) => fault instanceof T.Malformed ? "malformed" : fault instanceof T.Refuted ? "refuted"
    : fault instanceof T.Pending ? "pending" : "undecidable";

  // Steps 2 to 7: one pass over the file, which stops at the first fault. `step` says whose it is.
  class Inside {
    constructor(bundle, trust) {
      this.bundle = bundle;
      this.trust = trust;
      this.keys = new T.KeyBook();
      this.step = 1;
      this.position = -1;
      this.ids = new Map(); // id -> number
      this.kinds = [];
      this.referred = [];
      this.said = new Map(); // "kind issuer" -> [kind, issuer]
      this.batches = new Map(); // number of the batch claim -> {id, batch, members: [[index, id]]}
      this.changed = new Set();
      this.waiting = new Set();
      this.cited = new Set();
      this.sealed = [];
      this.signatures = 0;
    }

    async run() {
      const { bundle } = this;
      this.step = 8;
      this.note = T.readNote(bundle.note);
      this.checkpoint = T.readCheckpoint(this.note.text);
      this.step = 1;
      this.blobs = new Set(Array.from(bundle.blobs(), T.rawCid));
      this.step = 3;
      this.learnDocuments();
      this.step = 7;
      const root = await T.rootFromMulti(this.checkpoint.size, this.leaves(), bundle.tree());
      this.step = 3;
      this.histories();
      this.step = 5;
      this.closed();
      this.step = 6;
      const members = await this.membersBelong();
      this.step = 7;
      if (!T.equal(root, this.checkpoint.root)) {
        refute("claims that the log does not hold at these places, with these signatures");
      }
      return this.details(members);
    }

    details(members) {
      const count = this.kinds.length, issuers = new Set(Array.from(this.said.values(), ([, issuer]) => issuer)).size;
      return [
        "format 1: " + count + " claims, " + this.documents.size + " identity documents, " + this.blobs.size + " files",
        count + " statements, each its own canonical form",
        issuers + " issuers, " + this.changed.size + " of which changed their documents"
          + this.keys.recovered.map(([did, document]) => "; version " + document.version + " of " + did + " was made by "
            + document.recovery.by + " of " + document.recovery.of + " guardians, as the trust file accepts").join(""),
        this.signatures + " signatures: every suite that the documents in force require, and no other",
        "closed, and everything is reached from " + T.hex(this.bundle.target),
        members + " members in " + Array.from(this.batches.values()).filter((one) => one.members.length).length
          + " batches",
        count + " claims under the root of " + this.checkpoint.origin + " at size " + this.checkpoint.size,
      ];
    }

    learnDocuments() {
      this.documents = new Set();
      let last = "";
      for (const bytes of this.bundle.documents()) {
        const did = this.keys.learn(bytes);
        if (did <= last) throw new T.Malformed("identity documents out of order");
        last = did;
        this.documents.add(did);
      }
    }

    async* leaves() {
      this.step = 1;
      for (const claim of this.bundle.claims()) {
        this.position = claim.position;
        const leaf = await this.look(claim, this.kinds.length);
        this.step = 7;
        yield [BigInt(claim.position), leaf];
        this.step = 1;
      }
      this.step = 7;
    }

    // One claim: its leaf in the log.
    async look(claim, number) {
      this.step = 2;
      const { payload, signatures } = claim, statement = T.readStatement(payload), { kind, issuer } = statement;
      if ((kind === "batch" || kind === "identity") && !signatures) {
        throw new T.Malformed("a claim of kind " + kind + " inside a batch");
      }
      const batch = kind === "batch" ? T.readBatch(statement) : null;
      const message = T.pae(payload), id = T.sha256(message);
      const seal = signatures ? await this.signed(statement, message, signatures) : this.member(claim, issuer, id);
      if (batch) this.batches.set(number, { id, batch, members: [] });
      this.step = 5;
      this.takeIn(statement, T.hex(id), number);
      return T.leafHash(T.concat(id, seal));
    }

    async signed(statement, message, signatures) {
      const { kind, issuer } = statement;
      this.step = 3;
      if (kind === "identity") {
        if (T.isKeyDid(issuer)) refute("a did:key has no document to change");
        await this.keys.rotate(statement, message, signatures);
        this.changed.add(issuer);
      }
      const methods = this.keys.methods(issuer);
      if (kind !== "identity") {
        this.step = 4;
        await this.keys.verify(issuer, message, signatures);
      }
      this.signatures += signatures.length;
      return T.sealOfSignatures(methods, signatures);
    }

    member(claim, issuer, id) {
      this.step = 6;
      const found = this.batches.get(claim.batch);
      if (!found) throw new T.Malformed("a member of a claim that is no batch");
      if (issuer !== found.batch.issuer) refute("a batch speaks for its own issuer only");
      found.members.push([BigInt(claim.index), id]);
      return T.sealOfMember(found.id, claim.index);
    }

    takeIn(statement, id, number) {
      if (this.ids.has(id)) refute("a claim stands twice in the bundle: " + id);
      this.ids.set(id, number);
      this.kinds.push(statement.kind);
      this.referred.push(false);
      this.said.set(statement.kind + " " + statement.issuer, [statement.kind, statement.issuer]);
      if (id === T.hex(this.bundle.target)) this.targetIssuer = statement.issuer;
      for (const ref of statement.refs) {
        if (this.ids.has(ref.claim)) this.referred[this.ids.get(ref.claim)] = true;
        else this.waiting.add(ref.claim);
      }
      for (const item of statement.evidence) {
        if (item.sealed) this.sealed.push(statement.kind + ", " + item.name + ": " + item.cid);
        else if (this.blobs.has(item.cid)) this.cited.add(item.cid);
      }
    }

    histories() {
      const speaking = new Set([this.targetIssuer || ""]);
      for (const [kind, issuer] of this.said.values()) if (kind !== "identity") speaking.add(issuer);
      for (const did of [...this.documents, ...this.changed]) {
        if (!speaking.has(did)) refute("identity documents of somebody who says nothing here: " + did);
      }
      for (const [did, digest] of this.trust ? this.trust.documents : []) {
        if (speaking.has(did) && !T.isKeyDid(did)) this.keys.require(did, digest);
      }
      // What guardians made counts where the trust file pins it, or a later one: whoever wrote that asked the registry.
      for (const [did, document] of this.keys.recovered) {
        const pin = this.trust && new Map(this.trust.documents).get(did);
        if (!pin || this.keys.require(did, pin) < document.version) {
          cannot("guardians made this document, it says, and nobody here vouches for that: " + did);
        }
      }
    }

    closed() {
      const target = this.ids.get(T.hex(this.bundle.target));
      if (target === undefined) cannot("the target is not in the bundle");
      for (const id of this.waiting) {
        if (!this.ids.has(id)) cannot("a claim that another refers to is not in the bundle: " + id);
        this.referred[this.ids.get(id)] = true;
      }
      this.referred[target] = true;
      for (const [number, { members }] of this.batches) if (members.length) this.referred[number] = true;
      this.referred.forEach((reached, number) => {
        if (!reached && this.kinds[number] !== "identity") refute("a claim that nothing here refers to");
      });
      if (this.cited.size !== this.blobs.size) refute("an embedded file that no claim names");
    }

    async membersBelong() {
      const proofs = this.bundle.batchProofs();
      let count = 0;
      for (const { batch, members } of this.batches.values()) {
        if (!members.length) continue;
        const proof = proofs.next();
        if (proof.done) refute("a batch without the proof of its members");
        const leaves = members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(
          ([index, id]) => [index, T.leafHash(id)]);
        const root = await T.rootFromMulti(batch.size, leaves.values(), proof.value);
        if (!T.equal(root, batch.root)) refute("members that their batch does not hold");
        count += members.length;
      }
      if (!proofs.next().done) throw new T.Malformed("a proof of no batch's members");
      return count;
    }
  }

  class Verification {
    constructor(trust, says) {
      this.trust = trust;
      this.says = says;
      this.steps = [];
      this.asOf = null;
    }

    add(n, outcome, detail) {
      this.steps.push({ n, name: NAMES[n - 1], outcome, detail });
    }

    async run(bytes) {
      let n = 1;
      try {
        const inside = new Inside(new T.Bundle(bytes), this.trust);
        this.inside = inside;
        if (await this.inner(inside)) {
          for (n = 8; n <= 12; n += 1) await this.outer(n);
        }
      } catch (fault) {
        if (!(fault instanceof T.Malformed)) throw fault;
        const found = n > 7 || !this.inside ? n : this.inside.step;
        return { outcome: "malformed", as_of: null, steps: [
          { n: found, name: NAMES[found - 1], outcome: "malformed", detail: fault.message }] };
      }
      const found = new Set(this.steps.map((step) => step.outcome));
      const outcome = ["refuted", "undecidable", "pending", "upheld"].find((one) => found.has(one)) || "undecidable";
      return { outcome, as_of: this.asOf, steps: this.steps };
    }

    async inner(inside) {
      let details;
      try {
        details = await inside.run();
      } catch (fault) {
        if (!(fault instanceof T.Fault) || fault instanceof T.Malformed) throw fault;
        this.add(1, "upheld", "the frame can be read");
        for (let n = 2; n <= 12; n += 1) {
          if (n === inside.step) this.add(n, outcomeOf(fault), fault.message);
          else this.add(n, "skipped", "not finished: step " + inside.step + " stopped the verification");
        }
        return false;
      }
      details.forEach((detail, at) => this.add(at + 1, "upheld", detail));
      const unchecked = Array.from(inside.keys.unchecked, ([suite, count]) => count + " by " + suite);
      if (unchecked.length) {
        Object.assign(this.steps[3], { outcome: "undecidable", detail: "could not check here: " + unchecked.join(", ")
          + " signatures, because this browser lacks the suite; use troth verify" });
      }
      return true;
    }

    async outer(n) {
      if (this.steps.some((step) => step.outcome === "refuted")) {
        this.add(n, "skipped", "not reached: an earlier step refuted the bundle");
        return;
      }
      try {
        const acts = { 8: this.checkpoint, 9: this.anchor, 10: this.roles, 11: this.policy, 12: this.reExecution };
        const [outcome, detail] = await acts[n].call(this);
        this.add(n, outcome, detail);
      } catch (fault) {
        if (!(fault instanceof T.Fault) || fault instanceof T.Malformed) throw fault;
        this.add(n, outcomeOf(fault), fault.message);
      }
    }

    async checkpoint() {
      const { trust } = this, { note, checkpoint } = this.inside;
      if (!trust) cannot(CONSISTENT);
      if (!trust.log) cannot("the trust file pins no log");
      if (checkpoint.origin !== trust.log.origin) refute("the bundle is from another log, " + checkpoint.origin);
      const [first, ...others] = note.signatures;
      let sure = await T.verifyNoteLine(first, trust.log.key, note.text);
      let last = "";
      for (const line of others) {
        const key = trust.witnesses.keys.find((one) => one.name === line.name && one.id === line.id);
        if (!key) cannot("the checkpoint is signed by a key that the trust file does not pin: " + line.name);
        if (T.compare(line.name, last) <= 0) refute("witnesses out of order");
        last = line.name;
        sure = await T.verifyNoteLine(line, key, note.text) && sure;
      }
      if (others.length < trust.witnesses.threshold) cannot("too few witnesses: " + others.length);
      if (!sure) cannot("could not check here: this browser lacks Ed25519 or ML-DSA, use troth verify");
      return ["upheld", checkpoint.origin + " at size " + checkpoint.size + ", signed by its key, seen by "
        + others.length + " witnesses"];
    }

    anchor() {
      const anchor = this.inside.bundle.anchor(), { trust } = this;
      if (!anchor) cannot("the bundle holds no anchor");
      const { headers } = anchor.proof;
      if (!headers.length) throw new T.Malformed("an anchor without block headers");
      const last = T.readHeader(headers.at(-1)), block = T.keccak256(headers.at(-1));
      if (!trust) {
        const event = this.event(anchor, block, null, null);
        return ["skipped", "leads from size " + event.size + " to block " + last.number + ", " + T.hex(block)
          + ": nobody you trust says that this block is final"];
      }
      const { chain, log } = trust, contract = chain && chain.contracts.get("anchor");
      if (!contract || !log || !log.account) {
        cannot("the trust file does not pin a block, the anchor contract and the account that anchors the log");
      }
      if (last.number !== chain.number) {
        cannot("the anchor's headers end at another block than the trust file pins: " + last.number);
      }
      const event = this.event(anchor, chain.hash, contract, log.account);
      if (BigInt(this.inside.position) >= event.size) {
        throw new T.Pending("claims that are not anchored yet: position " + this.inside.position);
      }
      this.asOf = "block " + last.number + " of chain " + chain.id;
      return ["upheld", "size " + event.size + " stood in the contract by " + this.asOf + " (" + T.hex(block)
        + "), and the checkpoint extends it"];
    }

    // The one event in which this log was anchored. contract, owner: those believed, null where nobody is.
    event(anchor, blockHash, contract, owner) {
      const { checkpoint } = this.inside;
      const receipt = T.verifyReceipt(anchor.proof, blockHash);
      if (!receipt.status) refute("the anchor's transaction failed");
      const topic = T.keccak256(T.utf8(EVENT)), origin = T.keccak256(T.utf8(checkpoint.origin));
      const events = receipt.logs.filter((log) => log.topics.length && T.equal(log.topics[0], topic)).map((log) => {
        if (log.topics.length !== 3 || log.data.length !== 64 || log.topics[1].slice(0, 12).some(Boolean)
            || log.data.slice(0, 24).some(Boolean)) throw new T.Malformed("malformed Anchored event");
        return { contract: log.address, owner: log.topics[1].slice(12), origin: log.topics[2],
          size: T.bigint(log.data.slice(0, 32)), root: log.data.slice(32) };
      }).filter((event) => T.equal(event.origin, origin));
      if (events.length !== 1) refute("the receipt does not anchor this log once, but " + events.length + " times");
      const [event] = events;
      if (contract && !T.equal(event.contract, contract)) refute("anchor of another contract");
      if (owner && !T.equal(event.owner, owner)) refute("anchor of another account");
      if (event.size < 1n) refute("anchor of an empty log");
      T.verifyConsistency(event.size, checkpoint.size, event.root, checkpoint.root, anchor.consistency);
      return event;
    }

    roles() {
      if (!this.trust) return ["skipped", "no trust file names anybody"];
      const { roles, policy } = this.trust;
      if (!roles.size) cannot("the trust file names nobody");
      const says = (policy && Object.hasOwn(this.says, policy.name) && this.says[policy.name]) || {};
      const named = new Set(Array.from(roles.values()).flat());
      for (const [kind, issuer] of this.inside.said.values()) {
        const wanted = Object.hasOwn(says, kind) ? says[kind] : null;
        const allowed = wanted ? new Set(wanted.flatMap((role) => roles.get(role) || [])) : named;
        if (!allowed.has(issuer)) {
          refute("a claim of kind " + kind + " by somebody whom the trust file does not name for it: " + issuer);
        }
      }
      return ["upheld", "every issuer is in a role that may say what it says"];
    }

    policy() {
      if (!this.trust) return ["skipped", "no trust file names a policy"];
      if (!this.trust.policy) cannot("the trust file names no policy");
      return cannot("not checked here: the policy " + this.trust.policy.name + " is applied by troth verify");
    }

    reExecution() {
      const { sealed } = this.inside;
      return ["skipped", sealed.length ? "not re-executed: " + sealed.length + " sealed parcels, first "
        + sealed[0] : "nothing is sealed"];
    }
  }

  // Texts by code point, as the format orders names.
  T.compare = (a, b) => {
    const one = Array.from(a, (letter) => letter.codePointAt(0)), two = Array.from(b, (letter) => letter.codePointAt(0));
    const at = one.findIndex((point, k) => point !== two[k]);
    return at < 0 ? one.length - two.length : at >= two.length ? 1 : one[at] - two[at];
  };

  // bytes: the bundle. trust: the trust file's bytes, or null. The report has the shape of `troth verify --json`;
  // its outcome may also be "malformed". Rejects only for a fault of this program.
  T.verify = async (bytes, trust = null, says = T.SAYS) => {
    let pinned = null;
    try {
      pinned = trust === null ? null : T.readTrust(trust);
    } catch (fault) {
      if (!(fault instanceof T.Malformed)) throw fault;
      return { outcome: "malformed", as_of: null, steps: [
        { n: 0, name: "trust file", outcome: "malformed", detail: fault.message }] };
    }
    return new Verification(pinned, says).run(bytes);
  };
})(globalThis.Troth ??= {});
