// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bytes kept for ever as the code of an account, found by a name that is of the bytes
/// @notice The name is the Keccak-256 of the creation code. The account is made by CREATE2, so its address follows from
/// name and maker, without a look into any storage. Its code is a zero byte, which stops whoever calls it, and the bytes.
library Data {
    error TooLong();

    /// @notice Keeps the bytes in an account made by the calling contract. `fresh`: they were not here.
    function keep(bytes calldata data) internal returns (bytes32 name, bool fresh) {
        bytes memory creation = _creation(data);
        name = keccak256(creation);
        address there = where(address(this), name);
        if (there.code.length != 0) return (name, false);
        address made;
        assembly ("memory-safe") {
            made := create2(0, add(creation, 32), mload(creation), 0)
        }
        if (made != there) revert TooLong();
        return (name, true);
    }

    /// @notice Where the bytes of this name are kept, or would be.
    function where(address maker, bytes32 name) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", maker, bytes32(0), name)))));
    }

    /// @notice The bytes kept in an account; none where there is no such account.
    function load(address account) internal view returns (bytes memory data) {
        uint256 size = account.code.length;
        if (size < 2) return data;
        assembly ("memory-safe") {
            data := mload(0x40)
            mstore(0x40, and(add(add(data, 63), size), not(31)))
            mstore(data, sub(size, 1))
            extcodecopy(account, add(data, 32), 1, sub(size, 1))
        }
    }

    /// @dev PUSH2 size, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN; then the code.
    function _creation(bytes calldata data) private pure returns (bytes memory) {
        if (data.length >= 0x6000) revert TooLong();
        return abi.encodePacked(hex"61", uint16(data.length + 1), hex"80600a5f395ff3", hex"00", data);
    }
}
