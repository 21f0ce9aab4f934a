// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @title Whether an account signed a digest: by its key, or by its code (ERC-1271) with bounded gas
library Signatures {
    /// Gas for one ERC-1271 signer: 32 of them fit a policy's cap, so none can starve another.
    uint256 internal constant SIGNER_GAS = 100_000;

    /// @notice By its key first: an account that delegates to code (EIP-7702) still has one.
    function by(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool ok) {
        (address recovered, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (err == ECDSA.RecoverError.NoError && recovered == signer) return true;
        if (signer.code.length == 0) return false;
        bytes memory input = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        uint256 expected = uint256(bytes32(IERC1271.isValidSignature.selector));
        assembly ("memory-safe") {
            ok := staticcall(SIGNER_GAS, signer, add(input, 32), mload(input), 0, 32)
            ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), expected)))
        }
    }

    /// @notice The EIP-712 digest of `message` (a struct's hash) in the domain of Troth at `book` on this chain.
    function typed(address book, bytes32 message) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Troth"),
                keccak256("1"),
                block.chainid,
                book
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }
}
