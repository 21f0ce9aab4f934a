// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one equation of Groth16 over BN254, by the chain's precompiles (EIP-196, EIP-197)
/// @notice A key is alpha (64 bytes), beta, gamma, delta (128 each) and one point of 64 bytes more than there are
/// publics; a proof is A (64), B (128), C (64). Coordinates are the precompiles'.
library Groth16 {
    /// Coordinates are below it.
    uint256 private constant BASE = 21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// Publics are below it.
    uint256 private constant ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 internal constant PROOF = 256;
    uint256 internal constant FIXED = 448;
    uint256 internal constant MAX_PUBLICS = 64;
    /// A precompile that refuses its input takes all the gas it was given, so it is given little more than it needs
    /// (EIP-1108): 150, 6,000, 45,000 and 34,000 a pair.
    uint256 private constant ADD_GAS = 10_000;
    uint256 private constant MUL_GAS = 50_000;
    uint256 private constant PAIRING_GAS = 400_000;

    /// @notice Whether the proof fits the key and the publics; false for whatever is none.
    /// @param key An account whose code is a zero byte and a key that `wellFormed` let pass.
    /// @param first The first public.
    /// @param rest The other publics, 32 bytes each.
    function holds(address key, bytes calldata proof, uint256 first, bytes calldata rest)
        internal
        view
        returns (bool ok)
    {
        uint256 points = 2 + rest.length / 32;
        if (proof.length != PROOF || rest.length % 32 != 0 || key.code.length != 1 + FIXED + 64 * points) return false;
        assembly ("memory-safe") {
            // Four pairs of 192 bytes, then a sum (64), a product's point and factor (96), and the key's points.
            let pairs := mload(0x40)
            let sum := add(pairs, 768)
            let product := add(sum, 64)
            let bound := add(product, 96)
            calldatacopy(pairs, proof.offset, 192) // A, B
            extcodecopy(key, add(pairs, 192), 1, 192) // alpha, beta
            extcodecopy(key, add(pairs, 448), 193, 128) // gamma
            calldatacopy(add(pairs, 576), add(proof.offset, 192), 64) // C
            extcodecopy(key, add(pairs, 640), 321, 128) // delta
            extcodecopy(key, bound, 449, shl(6, points))

            // No point of a proof is at infinity; coordinates out of the field are the precompile's to refuse, but for
            // the one that is negated here.
            let y := mload(add(pairs, 32))
            ok := and(iszero(iszero(or(mload(pairs), y))), lt(y, BASE))
            mstore(add(pairs, 32), sub(BASE, y))
            let b := or(or(mload(add(pairs, 64)), mload(add(pairs, 96))), or(mload(add(pairs, 128)), mload(add(pairs, 160))))
            ok := and(ok, iszero(iszero(b)))
            ok := and(ok, iszero(iszero(or(mload(add(pairs, 576)), mload(add(pairs, 608))))))

            mcopy(sum, bound, 64)
            for { let i := 1 } and(ok, lt(i, points)) { i := add(i, 1) } {
                let factor := first
                if gt(i, 1) { factor := calldataload(add(rest.offset, shl(5, sub(i, 2)))) }
                mcopy(product, add(bound, shl(6, i)), 64)
                mstore(add(product, 64), factor)
                ok := lt(factor, ORDER)
                ok := and(ok, staticcall(MUL_GAS, 7, product, 96, product, 64))
                ok := and(and(ok, eq(returndatasize(), 64)), staticcall(ADD_GAS, 6, sum, 128, sum, 64))
                ok := and(ok, eq(returndatasize(), 64))
            }
            if ok {
                mcopy(add(pairs, 384), sum, 64)
                ok := staticcall(PAIRING_GAS, 8, pairs, 768, pairs, 32)
                ok := and(and(ok, eq(returndatasize(), 32)), eq(mload(pairs), 1))
            }
        }
    }

    /// @notice Whether bytes are a key: its points on their curves and in their groups, none at infinity (which would
    /// leave a public unbound, or worse), and gamma another than delta (else anybody can forge).
    function wellFormed(bytes calldata key) internal view returns (bool ok) {
        if (key.length < FIXED + 64 || (key.length - FIXED) % 64 != 0) return false;
        if ((key.length - FIXED) / 64 > MAX_PUBLICS + 1) return false;
        if (keccak256(key[192:320]) == keccak256(key[320:448])) return false;
        if (!_first(key[:64])) return false;
        for (uint256 i = FIXED; i < key.length; i += 64) if (!_first(key[i:i + 64])) return false;
        bytes memory pairs;
        for (uint256 i = 64; i < FIXED; i += 128) {
            if (keccak256(key[i:i + 128]) == keccak256(new bytes(128))) return false;
            pairs = abi.encodePacked(pairs, new bytes(64), key[i:i + 128]);
        }
        // Paired with infinity: the answer is 1 for points of the group, and none for others.
        return _asks(8, PAIRING_GAS, pairs, 32);
    }

    /// @dev Whether this is a point of the first group and not at infinity.
    function _first(bytes calldata point) private view returns (bool) {
        return keccak256(point) != keccak256(new bytes(64)) && _asks(6, ADD_GAS, abi.encodePacked(point, new bytes(64)), 64);
    }

    /// @dev Whether a precompile answers to this, with so many bytes.
    function _asks(uint160 precompile, uint256 gas_, bytes memory input, uint256 size) private view returns (bool) {
        (bool ok, bytes memory answer) = address(precompile).staticcall{gas: gas_}(input);
        return ok && answer.length == size;
    }
}
