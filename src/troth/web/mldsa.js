"use strict";
// ML-DSA-65 verification (FIPS 204, algorithms 3 and 8), pure, with the context "troth/v1": few engines offer it yet.
// Nothing here is secret, so nothing needs constant time. Products stay below 2^46, exact in a double.
(function (T) {
  const Q = 8380417, K = 6, L = 5, TAU = 49, GAMMA1 = 1 << 19, GAMMA2 = 261888, BETA = 196, OMEGA = 55, D = 13;
  const CHALLENGE = 48, N = 256;
  const CONTEXT = T.utf8("troth/v1");

  const reversed = (k) => parseInt(k.toString(2).padStart(8, "0").split("").reverse().join(""), 2);
  const powers = [1];
  for (let k = 1; k < N; k += 1) powers.push(powers[k - 1] * 1753 % Q);
  const ZETA = Array.from({ length: N }, (_, k) => powers[reversed(k)]);
  const INVERSE_OF_N = 8347681;

  function ntt(w) { // algorithm 41, in place
    for (let length = 128, m = 0; length >= 1; length >>= 1) {
      for (let start = 0; start < N; start += 2 * length) {
        m += 1;
        for (let j = start; j < start + length; j += 1) {
          const t = ZETA[m] * w[j + length] % Q;
          w[j + length] = (w[j] - t + Q) % Q;
          w[j] = (w[j] + t) % Q;
        }
      }
    }
    return w;
  }
  function back(w) { // algorithm 42, in place
    for (let length = 1, m = N; length < N; length <<= 1) {
      for (let start = 0; start < N; start += 2 * length) {
        m -= 1;
        for (let j = start; j < start + length; j += 1) {
          const t = w[j];
          w[j] = (t + w[j + length]) % Q;
          w[j + length] = (Q - ZETA[m]) * (t - w[j + length] + Q) % Q;
        }
      }
    }
    return w.map((value) => value * INVERSE_OF_N % Q);
  }

  function fields(bytes, bits, count) { // integers of so many bits each, least significant first
    const found = [];
    for (let k = 0, held = 0, left = 0, at = 0; k < count; k += 1) {
      for (; left < bits; left += 8, at += 1) held += bytes[at] * 2 ** left;
      found.push(held % 2 ** bits);
      held = Math.floor(held / 2 ** bits);
      left -= bits;
    }
    return found;
  }
  const polys = (bytes, bits, count) => Array.from({ length: count }, (_, k) => fields(
    bytes.subarray(k * 32 * bits, (k + 1) * 32 * bits), bits, N));

  function uniform(seed) { // algorithm 30
    const read = T.shake128(seed), found = [];
    while (found.length < N) {
      const block = read(168);
      for (let at = 0; at < 168 && found.length < N; at += 3) {
        const value = block[at] + block[at + 1] * 256 + (block[at + 2] & 127) * 65536;
        if (value < Q) found.push(value);
      }
    }
    return found;
  }
  function ball(seed) { // algorithm 29
    const read = T.shake256(seed), signs = T.bigint(read(8).reverse()), c = new Array(N).fill(0);
    for (let i = N - TAU, bit = 0n; i < N; i += 1, bit += 1n) {
      let [j] = read(1);
      while (j > i) [j] = read(1);
      c[i] = c[j];
      c[j] = signs >> bit & 1n ? Q - 1 : 1;
    }
    return c;
  }
  function hints(bytes) { // algorithm 21: null for any but the one encoding
    const found = Array.from({ length: K }, () => new Uint8Array(N));
    let at = 0;
    for (let i = 0; i < K; i += 1) {
      const end = bytes[OMEGA + i];
      if (end < at || end > OMEGA) return null;
      for (let first = at; at < end; at += 1) {
        if (at > first && bytes[at - 1] >= bytes[at]) return null;
        found[i][bytes[at]] = 1;
      }
    }
    return bytes.subarray(at, OMEGA).some(Boolean) ? null : found;
  }
  function useHint(hint, r) { // algorithms 36 and 40
    let low = r % (2 * GAMMA2), high;
    if (low > GAMMA2) low -= 2 * GAMMA2;
    if (r - low === Q - 1) { high = 0; low -= 1; } else { high = (r - low) / (2 * GAMMA2); }
    return hint ? (high + (low > 0 ? 1 : 15)) % 16 : high;
  }

  const expanded = new Map(); // what depends on the key alone: issuers sign many claims
  function expand(key) {
    const name = T.hex(key.subarray(0, 32)) + T.hex(T.sha256(key));
    if (!expanded.has(name)) {
      const rho = key.subarray(0, 32);
      expanded.set(name, {
        matrix: Array.from({ length: K }, (_, r) => Array.from({ length: L }, (_, s) => uniform(T.concat(rho, [s, r])))),
        t1: polys(key.subarray(32), 10, K).map((poly) => ntt(poly.map((value) => value * 2 ** D % Q))),
        digest: T.shake256(key)(64),
      });
    }
    return expanded.get(name);
  }

  // Whether value is the key's signature over message. All are bytes.
  T.mlDsa65 = async (key, message, value) => {
    if (value.length !== CHALLENGE + 640 * L + OMEGA + K) return false;
    const seed = value.subarray(0, CHALLENGE), hint = hints(value.subarray(CHALLENGE + 640 * L));
    const z = polys(value.subarray(CHALLENGE), 20, L).map((poly) => poly.map((found) => GAMMA1 - found));
    if (!hint || z.some((poly) => poly.some((found) => Math.abs(found) >= GAMMA1 - BETA))) return false;
    const { matrix, t1, digest } = expand(key);
    const mu = T.shake256(T.concat(digest, [0, CONTEXT.length], CONTEXT, message))(64);
    const zs = z.map((poly) => ntt(poly.map((found) => (found + Q) % Q))), c = ntt(ball(seed));
    const packed = matrix.map((row, i) => {
      const sum = Array.from({ length: N }, (_, k) => (
        row.reduce((all, a, s) => all + a[k] * zs[s][k], (Q - c[k]) * t1[i][k])) % Q);
      const w = back(sum).map((found, k) => useHint(hint[i][k], found));
      return Uint8Array.from({ length: N / 2 }, (_, k) => w[2 * k] | w[2 * k + 1] << 4);
    });
    return T.equal(T.shake256(T.concat(mu, ...packed))(CHALLENGE), seed);
  };
})(globalThis.Troth ??= {});
