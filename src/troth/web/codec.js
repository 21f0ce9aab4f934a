"use strict";
// Bytes, texts and digests for the second verifier: strict readers that accept exactly what their writers make.
// It follows docs/reference/bundle.md and shares no code with the Python verifier.
(function (T) {
  // What cannot be read; what is contradicted; what is absent; what is not yet. Never confused.
  class Fault extends Error {}
  T.Malformed = class Malformed extends Fault {};
  T.Refuted = class Refuted extends Fault {};
  T.Undecidable = class Undecidable extends Fault {};
  T.Pending = class Pending extends Fault {};
  T.Fault = Fault;
  T.MAX_INT = Number.MAX_SAFE_INTEGER;
  const bad = (says) => { throw new T.Malformed(says); };

  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  T.utf8 = (text) => encoder.encode(text);
  T.text = (bytes) => {
    try { return decoder.decode(bytes); } catch (error) { return bad("not UTF-8"); }
  };
  T.hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  T.fromHex = (text, size) => {
    if (typeof text !== "string" || !/^([0-9a-f]{2})*$/.test(text) || (size !== undefined && text.length !== 2 * size)) {
      bad("not canonical hex" + (size ? " of " + size + " bytes" : ""));
    }
    return Uint8Array.from({ length: text.length / 2 }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16));
  };
  T.concat = (...parts) => {
    const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  };
  T.equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
  T.bigint = (bytes) => bytes.length ? BigInt("0x" + T.hex(bytes)) : 0n;

  // Base64 (RFC 4648), standard or for URLs without padding; canonical only.
  T.base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  T.base64url = (bytes) => T.base64(bytes).replace(/=+$/, "").replace(/\+/g, "-").replace(/\//g, "_");
  T.fromBase64 = (text) => {
    if (/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      if (T.base64(bytes) === text) return bytes;
    }
    return bad("not canonical base64");
  };
  T.fromBase64url = (text) => {
    if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) bad("not canonical base64url");
    const padded = text.replace(/-/g, "+").replace(/_/g, "/") + "=".repeat((4 - (text.length % 4)) % 4);
    return T.fromBase64(padded);
  };

  // Base58btc, nine digits at a time: 58^9 is the largest power below 2^53.
  const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  const NINE = 58n ** 9n;
  T.base58 = (bytes) => {
    let zeros = 0;
    while (zeros < bytes.length && bytes[zeros] === 0) zeros += 1;
    let number = T.bigint(bytes);
    const parts = [];
    while (number) {
      let rest = Number(number % NINE);
      number /= NINE;
      let part = "";
      for (let digit = 0; digit < 9; digit += 1) {
        part = ALPHABET[rest % 58] + part;
        rest = Math.floor(rest / 58);
      }
      parts.push(part);
    }
    return "1".repeat(zeros) + parts.reverse().join("").replace(/^1+/, "");
  };
  T.fromBase58 = (text) => {
    if (text.length > 65536 || !/^[1-9A-HJ-NP-Za-km-z]*$/.test(text)) bad("not base58btc");
    let number = 0n;
    for (let start = 0; start < text.length; start += 9) {
      const part = text.slice(start, start + 9);
      const value = Array.from(part).reduce((sum, letter) => sum * 58 + ALPHABET.indexOf(letter), 0);
      number = number * 58n ** BigInt(part.length) + BigInt(value);
    }
    const digits = number ? number.toString(16) : "";
    const zeros = text.length - text.replace(/^1+/, "").length;
    return T.concat(new Uint8Array(zeros), T.fromHex(digits.length % 2 ? "0" + digits : digits));
  };
  T.multibase = (text) => {
    if (text.startsWith("z")) return T.fromBase58(text.slice(1));
    if (text.startsWith("u")) return T.fromBase64url(text.slice(1));
    return bad("unreadable multibase text");
  };
  const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
  T.rawCid = (digest) => {
    let bits = "";
    for (const byte of [0x01, 0x55, 0x12, 0x20, ...digest]) bits += byte.toString(2).padStart(8, "0");
    return "b" + bits.match(/.{1,5}/g).map((five) => BASE32[parseInt(five.padEnd(5, "0"), 2)]).join("");
  };

  // Canonical JSON (RFC 8785 for integers only): read it, write it again, compare.
  function write(value, left) {
    if (value === null || typeof value === "boolean") return String(value);
    if (typeof value === "number") {
      return Number.isSafeInteger(value) ? String(value) : bad("a number that is no integer within 2^53 - 1");
    }
    if (typeof value === "string") {
      return /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)
        ? bad("text that is not well-formed Unicode") : JSON.stringify(value);
    }
    if (left === 0) bad("nested deeper than 64 levels");
    if (Array.isArray(value)) return "[" + value.map((item) => write(item, left - 1)).join(",") + "]";
    const keys = Object.keys(value).sort(); // by UTF-16 code unit, as RFC 8785 wants
    return "{" + keys.map((key) => write(key, 0) + ":" + write(value[key], left - 1)).join(",") + "}";
  }
  T.canonical = (value) => T.utf8(write(value, 64));
  T.json = (bytes) => {
    const text = T.text(bytes);
    let value;
    try { value = JSON.parse(text); } catch (error) { bad("not JSON"); }
    if (write(value, 64) !== text) bad("JSON that is not its own canonical form");
    return value;
  };
  const kindOf = (value) => value === null ? "null" : Array.isArray(value) ? "list"
    : { object: "object", string: "text", number: "integer", boolean: "bool" }[typeof value];
  // Exactly these members, each of one of these types ("object|null").
  T.take = (value, fields) => {
    const names = Object.keys(fields);
    if (kindOf(value) !== "object" || Object.keys(value).length !== names.length
        || !names.every((name) => Object.hasOwn(value, name))) {
      bad("other members than " + names.join(", "));
    }
    for (const [name, kinds] of Object.entries(fields)) {
      if (!kinds.split("|").includes(kindOf(value[name]))) bad("member " + name + " is not " + kinds);
    }
    return value;
  };
  T.texts = (value) => value.every((item) => typeof item === "string") ? value : bad("not a list of texts");

  // SHA-256 (FIPS 180-4). The constants are computed as the standard defines them.
  const primes = [];
  for (let n = 2; primes.length < 64; n += 1) if (primes.every((prime) => n % prime)) primes.push(n);
  function fraction(prime, root) { // the first 32 bits of the fractional part of a prime's square or cube root
    const wanted = BigInt(prime) << BigInt(32 * root);
    let low = 0n;
    for (let bit = 1n << 40n; bit; bit >>= 1n) if ((low + bit) ** BigInt(root) <= wanted) low += bit;
    return Number(low & 0xffffffffn);
  }
  const START = primes.slice(0, 8).map((prime) => fraction(prime, 2));
  const K = Int32Array.from(primes, (prime) => fraction(prime, 3));
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  function block(state, view, at, w) {
    for (let t = 0; t < 16; t += 1) w[t] = view.getInt32(at + 4 * t);
    for (let t = 16; t < 64; t += 1) {
      const x = w[t - 15], y = w[t - 2];
      w[t] = w[t - 16] + w[t - 7] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let t = 0; t < 64; t += 1) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[t] + w[t]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, at) => { state[at] += word; });
  }
  T.sha256 = (...parts) => {
    const data = T.concat(...parts);
    const padded = new Uint8Array((data.length + 72) & ~63);
    padded.set(data);
    padded[data.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(data.length / 2 ** 29));
    view.setUint32(padded.length - 4, (data.length * 8) >>> 0);
    const state = Int32Array.from(START), w = new Int32Array(64);
    for (let at = 0; at < padded.length; at += 64) block(state, view, at, w);
    const out = new DataView(new ArrayBuffer(32));
    state.forEach((word, at) => out.setInt32(4 * at, word));
    return new Uint8Array(out.buffer);
  };
})(globalThis.Troth ??= {});
