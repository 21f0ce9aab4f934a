// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrable, IArbitrator} from "./IArbitration.sol";
import {IBook} from "./IBook.sol";

/// @title An account on a bench that says what a court ruled (docs/reference/court.md, section 5)
interface ISeat is IArbitrable {
    /// @notice The Book whose deals this seat serves.
    function book() external view returns (IBook);

    /// @notice The court it asks.
    function arbitrator() external view returns (IArbitrator);

    /// @notice The longest that a case may take at that court, in seconds.
    function longest() external view returns (uint32);
}
