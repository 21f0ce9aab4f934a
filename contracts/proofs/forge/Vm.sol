// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

struct Log {
    bytes32[] topics;
    bytes data;
    address emitter;
}

/// @title The cheat codes of Forge (and Halmos) that these proofs use
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function assume(bool condition) external pure;
    function getCode(string calldata path) external view returns (bytes memory);
    function getRecordedLogs() external returns (Log[] memory);
    function label(address account, string calldata name) external;
    function prank(address sender) external;
    function recordLogs() external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 time) external;
    function writeLine(string calldata path, string calldata line) external;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @dev The shipped Book; `python -m tests.proofs` writes it from the artefact in the form the tools read.
string constant BOOK_CODE = "../build/forge/code/Book.json";

/// @title Numbers drawn from one seed
library Dice {
    struct Rand {
        uint256 seed;
    }

    /// @notice From 0 to sides - 1.
    function roll(Rand memory rand, uint256 sides) internal pure returns (uint256) {
        rand.seed = uint256(keccak256(abi.encode(rand.seed)));
        return rand.seed % sides;
    }

    /// @notice Whether a one-in-`sides` chance comes up.
    function hit(Rand memory rand, uint256 sides) internal pure returns (bool) {
        return roll(rand, sides) == 0;
    }
}
