"use strict";
// The bundle's container and its statements: bytes to fields, strictly, in file order.
(function (T) {
  const bad = (says) => { throw new T.Malformed(says); };
  const MAGIC = T.fromHex("8954524f54480a01");
  const TAGS = ["HEAD", "IDEN", "NOTE", "CLMS", "TREE", "BTCH", "ANCH", "BLOB"];

  // Fields of one section, front to back.
  class Fields {
    constructor(tag, bytes) {
      this.tag = tag;
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      this.at = 0;
    }

    take(size) {
      if (size > this.bytes.length - this.at) bad("a field reaches beyond the end of section " + this.tag);
      this.at += size;
      return this.bytes.subarray(this.at - size, this.at);
    }

    number(size) { // unsigned, big-endian, 1 to 8 bytes
      const value = T.bigint(this.take(size));
      return value <= BigInt(T.MAX_INT) ? Number(value) : bad("a number beyond 2^53 - 1");
    }

    strings() {
      return this.list(() => this.take(this.number(4)));
    }

    list(read) { // a counted list: as many as there are, or as the section has room for
      const found = [];
      for (let left = this.number(4); left; left -= 1) found.push(read());
      return found;
    }

    get left() {
      return this.bytes.length - this.at;
    }

    done() {
      if (this.left) bad("section " + this.tag + " has bytes after its last field");
    }
  }

  T.Bundle = class Bundle {
    constructor(bytes) {
      this.sections = new Map();
      if (!T.equal(bytes.subarray(0, 8), MAGIC)) bad("not a bundle, or one of another version");
      const frame = new Fields("file", bytes);
      frame.take(8);
      for (const tag of TAGS) {
        const found = frame.take(4);
        if (String.fromCharCode(...found) !== tag) bad("sections out of order: expected " + tag);
        this.sections.set(tag, frame.take(frame.number(8)));
      }
      if (frame.left) bad("bytes after the last section");
      this.target = this.section("HEAD").take(32);
      if (this.sections.get("HEAD").length !== 32) bad("section HEAD has the wrong length");
      this.note = this.sections.get("NOTE");
      if (this.note.length < 1 || this.note.length > 65536) bad("section NOTE has the wrong length");
      if (this.sections.get("TREE").length % 32) bad("section TREE is not a list of hashes");
    }

    section(tag) {
      return new Fields(tag, this.sections.get(tag));
    }

    *blobs() {
      const fields = this.section("BLOB");
      let last = "";
      while (fields.left) {
        const size = fields.number(4);
        if (size < 1 || size > 1 << 20) bad("embedded evidence of a wrong length");
        const digest = T.sha256(fields.take(size)), name = T.hex(digest);
        if (name <= last) bad("embedded evidence out of order");
        last = name;
        yield digest;
      }
    }

    *documents() {
      const fields = this.section("IDEN");
      for (let left = fields.number(4); left; left -= 1) {
        const size = fields.number(4);
        if (size > 65536) bad("identity document too long");
        yield fields.take(size);
      }
      fields.done();
    }

    *claims() {
      const fields = this.section("CLMS"), count = fields.number(4);
      if (!count) bad("a bundle without claims");
      let last = -1;
      for (let number = 0; number < count; number += 1) {
        const claim = { position: fields.number(8), signatures: null };
        const form = fields.number(1);
        if (form > 1) bad("unknown form of claim");
        if (form === 0) {
          claim.signatures = [];
          for (let left = fields.number(1) || bad("a claim without signatures"); left; left -= 1) {
            claim.signatures.push(fields.take(fields.number(2)));
          }
        } else {
          claim.batch = fields.number(4);
          claim.index = fields.number(8);
          if (claim.batch >= number) bad("a member of no earlier claim");
        }
        const size = fields.number(4);
        if (claim.position <= last) bad("claims out of log order");
        last = claim.position;
        if (size > 1 << 24) bad("payload too long");
        claim.payload = fields.take(size);
        yield claim;
      }
      fields.done();
    }

    *tree() {
      const fields = this.section("TREE");
      while (fields.left) yield fields.take(32);
    }

    *batchProofs() {
      const fields = this.section("BTCH");
      while (fields.left) {
        const count = fields.number(4);
        yield (function* hashes() { for (let left = count; left; left -= 1) yield fields.take(32); })();
      }
    }

    anchor() {
      const fields = this.section("ANCH");
      if (!fields.left) return null;
      if (fields.left > 1 << 26) bad("anchor too long");
      const consistency = fields.list(() => fields.take(32));
      const index = fields.number(4), headers = fields.strings(), nodes = fields.strings();
      const receipt = fields.take(fields.number(4));
      fields.done();
      return { consistency, proof: { headers, nodes, index, receipt } };
    }
  };

  // Statements.
  const ROLE = /^[a-z][a-z0-9-]{0,63}$/;
  const SUBJECT = { digest: "object", name: "text" };
  const EVIDENCE = { cid: "text", name: "text", profile: "text", sealed: "bool" };
  T.readStatement = (payload) => {
    const found = T.take(T.json(payload), { _type: "text", predicate: "object", predicateType: "text", subject: "list" });
    if (found._type !== "https://in-toto.io/Statement/v1") bad("not a Troth statement");
    const said = T.take(found.predicate, { body: "object", evidence: "list", issued_at: "integer", issuer: "text",
      refs: "list" });
    const type = /^urn:troth:([a-z][a-z0-9-]{0,63}):v([1-9][0-9]{0,3})$/.exec(found.predicateType);
    if (!type) bad("not a Troth statement");
    if (!found.subject.length || said.issued_at < 0) bad("incomplete statement");
    for (const subject of found.subject) {
      const digests = Object.values(T.take(subject, SUBJECT).digest);
      if (!digests.length || !T.texts(digests).every(Boolean)) bad("subject without digests");
    }
    for (const ref of said.refs) {
      if (!ROLE.test(T.take(ref, { claim: "text", role: "text" }).role)) bad("reference without a proper role");
      T.fromHex(ref.claim, 32);
    }
    said.evidence.forEach((item) => T.take(item, EVIDENCE));
    return { kind: type[1], version: Number(type[2]), subjects: found.subject, ...said };
  };
  T.readBatch = (statement) => {
    if (statement.version !== 1 || statement.refs.length || statement.evidence.length) bad("not a batch");
    const { root, size } = T.take(statement.body, { root: "text", size: "integer" });
    const [subject, second] = statement.subjects;
    if (size < 1 || second || subject.name !== "members" || Object.keys(subject.digest).join() !== "sha256"
        || subject.digest.sha256 !== root) bad("batch whose subject is not its members");
    return { issuer: statement.issuer, size: BigInt(size), root: T.fromHex(root, 32) };
  };

  T.pae = (payload) => T.concat(
    T.utf8("DSSEv1 28 application/vnd.in-toto+json " + payload.length + " "), payload);
  T.sealOfSignatures = (methods, values) => T.sha256(T.utf8("troth/signatures/v1\n"), ...methods.flatMap((name, at) => {
    const method = T.utf8(name);
    return [T.utf8(method.length + " " + values[at].length + "\n"), method, values[at]];
  }));
  T.sealOfMember = (batch, index) => T.sha256(T.utf8("troth/member/v1\n"), batch, T.utf8(String(index)));
})(globalThis.Troth ??= {});
