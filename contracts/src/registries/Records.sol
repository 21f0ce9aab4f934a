// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev One line of a registry's history: what holds from its block on, until the next line.
struct Record {
    bytes32 value;
    address account;
    uint48 time; // Unix seconds of the block
    uint48 number; // of the block
}

/// @title Histories that only grow, and what held when
/// @notice Nothing here changes or removes a record. An answer about the past never changes: the present block, which
/// may still bring a record, is no past.
library Records {
    error Unknown();
    error NotYet();

    /// @notice Adds a record at this block; its index.
    function append(Record[] storage self, bytes32 value, address account) internal returns (uint256 index) {
        index = self.length;
        self.push(Record(value, account, uint48(block.timestamp), uint48(block.number)));
    }

    /// @notice The newest record. Refused with Unknown where there is none.
    function head(Record[] storage self) internal view returns (Record storage) {
        if (self.length == 0) revert Unknown();
        return self[self.length - 1];
    }

    /// @notice The record that held at the end of second `time`, and its index.
    /// @dev Refused with NotYet for a time that is not over, Unknown for one before the first record.
    function atTime(Record[] storage self, uint256 time) internal view returns (uint256, Record memory) {
        if (time >= block.timestamp) revert NotYet();
        uint256 low; // records before this one were made by then
        for (uint256 high = self.length; low < high;) {
            uint256 middle = (low + high) / 2;
            if (self[middle].time <= time) low = middle + 1;
            else high = middle;
        }
        return _last(self, low);
    }

    /// @notice The record that held at the end of block `number`, and its index.
    /// @dev Refused with NotYet for a block that is not over, Unknown for one before the first record.
    function atBlock(Record[] storage self, uint256 number) internal view returns (uint256, Record memory) {
        if (number >= block.number) revert NotYet();
        uint256 low;
        for (uint256 high = self.length; low < high;) {
            uint256 middle = (low + high) / 2;
            if (self[middle].number <= number) low = middle + 1;
            else high = middle;
        }
        return _last(self, low);
    }

    function _last(Record[] storage self, uint256 count) private view returns (uint256, Record memory) {
        if (count == 0) revert Unknown();
        return (count - 1, self[count - 1]);
    }
}
