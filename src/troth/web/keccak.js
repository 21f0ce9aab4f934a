"use strict";
// Keccak-f[1600] (FIPS 202) in 32-bit halves, and what stands on it: Ethereum's Keccak-256, SHAKE-128 and SHAKE-256.
(function (T) {
  // Round constants by the standard's linear feedback register; offsets and positions of rho and pi by its walk.
  const LOW = new Int32Array(24), HIGH = new Int32Array(24), TURN = new Int32Array(25), FROM = new Int32Array(25);
  let register = 1;
  for (let round = 0; round < 24; round += 1) {
    for (let j = 0; j < 7; j += 1) {
      const at = (1 << j) - 1;
      if (register & 1) { if (at < 32) LOW[round] ^= 1 << at; else HIGH[round] ^= 1 << (at - 32); }
      register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
    }
  }
  for (let t = 0, x = 1, y = 0; t < 24; t += 1) {
    const to = [y, (2 * x + 3 * y) % 5];
    FROM[to[0] + 5 * to[1]] = x + 5 * y;
    TURN[to[0] + 5 * to[1]] = ((t + 1) * (t + 2) / 2) % 64;
    [x, y] = to;
  }

  function permute(s) { // lanes as (low, high) pairs
    const c = new Int32Array(10), b = new Int32Array(50);
    for (let round = 0; round < 24; round += 1) {
      for (let x = 0; x < 10; x += 1) c[x] = s[x] ^ s[x + 10] ^ s[x + 20] ^ s[x + 30] ^ s[x + 40];
      for (let x = 0; x < 5; x += 1) {
        const l = 2 * ((x + 4) % 5), r = 2 * ((x + 1) % 5);
        const low = c[l] ^ ((c[r] << 1) | (c[r + 1] >>> 31)), high = c[l + 1] ^ ((c[r + 1] << 1) | (c[r] >>> 31));
        for (let y = 2 * x; y < 50; y += 10) { s[y] ^= low; s[y + 1] ^= high; }
      }
      for (let at = 0; at < 25; at += 1) {
        let low = s[2 * FROM[at]], high = s[2 * FROM[at] + 1], n = TURN[at];
        if (n >= 32) { [low, high] = [high, low]; n -= 32; }
        b[2 * at] = n ? (low << n) | (high >>> (32 - n)) : low;
        b[2 * at + 1] = n ? (high << n) | (low >>> (32 - n)) : high;
      }
      for (let y = 0; y < 50; y += 10) {
        for (let x = 0; x < 10; x += 1) s[y + x] = b[y + x] ^ (~b[y + ((x + 2) % 10)] & b[y + ((x + 4) % 10)]);
      }
      s[0] ^= LOW[round];
      s[1] ^= HIGH[round];
    }
  }

  // A sponge that has absorbed its input: read(n) gives the next n bytes.
  function sponge(rate, suffix, data) {
    const padded = new Uint8Array((Math.floor(data.length / rate) + 1) * rate);
    padded.set(data);
    padded[data.length] ^= suffix;
    padded[padded.length - 1] ^= 0x80;
    const state = new Int32Array(50), bytes = new Uint8Array(state.buffer);
    for (let at = 0; at < padded.length; at += rate) {
      for (let k = 0; k < rate; k += 1) bytes[k] ^= padded[at + k];
      permute(state);
    }
    let used = 0;
    return (size) => {
      const out = new Uint8Array(size);
      for (let k = 0; k < size; k += 1) {
        if (used === rate) { permute(state); used = 0; }
        out[k] = bytes[used];
        used += 1;
      }
      return out;
    };
  }
  T.keccak256 = (data) => sponge(136, 0x01, data)(32);
  T.shake128 = (data) => sponge(168, 0x1f, data);
  T.shake256 = (data) => sponge(136, 0x1f, data);
})(globalThis.Troth ??= {});
