"use strict";
// Points of Curve25519 and secp256k1: which bytes are a key, and ECDSA, which WebCrypto does not offer on this curve.
// Nothing here is secret, so nothing needs constant time.
(function (T) {
  function power(base, exponent, modulus) {
    let result = 1n;
    base = ((base % modulus) + modulus) % modulus;
    for (; exponent; exponent >>= 1n) {
      if (exponent & 1n) result = result * base % modulus;
      base = base * base % modulus;
    }
    return result;
  }

  // Ed25519 keys: canonical, on the curve, not of small order (RFC 8032, 5.1.3).
  const P = 2n ** 255n - 19n;
  const D = (P - 121665n) * power(121666n, P - 2n, P) % P;
  const ORDER8 = T.bigint(T.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", 32).reverse());
  const WEAK = [0n, 1n, P - 1n, ORDER8, P - ORDER8];
  T.isEd25519Key = (raw) => {
    const y = T.bigint(raw.slice().reverse()) & (2n ** 255n - 1n);
    if (y >= P || WEAK.includes(y)) return false;
    const x2 = (y * y - 1n) * power(D * y * y + 1n, P - 2n, P) % P;
    return power(x2, (P - 1n) / 2n, P) <= 1n;
  };

  // secp256k1 (SEC 2): y^2 = x^3 + 7. Points in Jacobian coordinates [x, y, z]; z is 0 at infinity.
  const Q = 2n ** 256n - 2n ** 32n - 977n;
  const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const BASE = [0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
    0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n, 1n];
  const field = (value) => ((value % Q) + Q) % Q;
  function pointOf(raw) { // a compressed point, or null
    const x = T.bigint(raw.slice(1)), right = field(x ** 3n + 7n), y = power(right, (Q + 1n) / 4n, Q);
    if ((raw[0] !== 2 && raw[0] !== 3) || x >= Q || y * y % Q !== right) return null;
    return [x, y % 2n === BigInt(raw[0] - 2) ? y : Q - y, 1n];
  }
  function twice([x, y, z]) {
    const a = field(4n * x * y * y), b = field(3n * x * x), x3 = field(b * b - 2n * a);
    return [x3, field(b * (a - x3) - 8n * y ** 4n), field(2n * y * z)];
  }
  function sum(one, other) {
    if (!one[2]) return other;
    if (!other[2]) return one;
    const [x1, y1, z1] = one, [x2, y2, z2] = other;
    const u1 = field(x1 * z2 * z2), u2 = field(x2 * z1 * z1), s1 = field(y1 * z2 ** 3n), s2 = field(y2 * z1 ** 3n);
    if (u1 === u2) return s1 === s2 ? twice(one) : [1n, 1n, 0n];
    const h = u2 - u1, r = s2 - s1, h2 = field(h * h), h3 = field(h2 * h), v = u1 * h2, x3 = field(r * r - h3 - 2n * v);
    return [x3, field(r * (v - x3) - s1 * h3), field(h * z1 * z2)];
  }
  T.isSecp256k1Key = (raw) => pointOf(raw) !== null;

  // Whether value (r, s; s in the low half) is the key's signature over SHA-256 of message.
  T.secp256k1 = async (key, message, value) => {
    const r = T.bigint(value.slice(0, 32)), s = T.bigint(value.slice(32));
    if (r < 1n || r >= ORDER || s < 1n || s > ORDER / 2n) return false;
    const inverse = power(s, ORDER - 2n, ORDER), point = pointOf(key);
    const a = T.bigint(T.sha256(message)) * inverse % ORDER, b = r * inverse % ORDER, both = sum(BASE, point);
    let at = [1n, 1n, 0n];
    for (let bit = 1n << 255n; bit; bit >>= 1n) {
      at = twice(at);
      if (a & bit) at = sum(at, b & bit ? both : BASE);
      else if (b & bit) at = sum(at, point);
    }
    if (!at[2]) return false;
    return at[0] * power(at[2], Q - 3n, Q) % Q % ORDER === r; // x = X / Z^2, and 1 / Z^2 = Z^(Q - 3)
  };
})(globalThis.Troth ??= {});
