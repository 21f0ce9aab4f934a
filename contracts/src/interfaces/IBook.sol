// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Entry, Head, Pot, Result, Rung, Terms} from "./Types.sol";

/// @title Deals: deposits, asks, verdicts, challenges, payment (docs/reference/deals.md)
/// @notice Every act happens whole or reverts with the rule's own error and changes nothing.
interface IBook {
    error Stopped();
    error BadShape();
    error BadTimes();
    error BadBond();
    error BadSilent();
    error BadPot();
    error BadWrongBonds();
    error BadBench();
    error BadToken();
    error BadPolicy();
    error Exists();
    error Unknown();
    error BadTerms();
    error NotFunding();
    error TooLate();
    error NotDepositor();
    error Joined();
    error BadConsent();
    error TransferFailed();
    error NotRunning();
    error TooLong();
    error TooEarly();
    error NotNamed();
    error BadSlot();
    error Duplicate();
    error BadHistory();
    error Judged();
    error NoVerdict();
    error PolicyFailed();
    error BadResult();
    error TopRung();
    error BenchMember();
    error WrongBonds();
    error Closed();
    error NotYet();
    error NoRoot();
    error Collected();
    error BadProof();
    error OverTotal();
    error Swept();
    error Nothing();
    error NotOwner();
    /// The call would leave a policy or a token less than its whole gas; send more. Nothing changed.
    error LowGas();

    /// The whole terms, so that logs alone rebuild every deal.
    event DealOpened(bytes32 indexed deal, address indexed opener, bytes32 salt, Terms terms);
    /// `started`: when rung 0 began, or 0 while a pot is missing.
    event PotJoined(bytes32 indexed deal, uint8 pot, uint64 started);
    /// One more entry of the history.
    event Recorded(bytes32 indexed deal, Entry entry);
    /// `status` 3 closed, 4 void (`result` is then empty).
    event DealClosed(bytes32 indexed deal, uint8 status, Result result);
    /// A transfer failed; the amount waits for `withdraw`.
    event CreditAdded(address indexed token, address indexed account, uint256 amount);
    event Withdrawn(address indexed token, address indexed account, uint256 amount);
    event LeafCollected(bytes32 indexed deal, uint8 pot, uint256 index, address account, uint128 amount);
    event RootSwept(bytes32 indexed deal, uint8 pot, uint128 amount);
    event StopSet(bool stopped);

    /// @notice Publishes terms and moves nothing (section 2).
    /// @return deal keccak256(chain id, book, opener, salt, terms hash)
    function open(Terms calldata terms, bytes32 salt) external returns (bytes32 deal);

    /// @notice Deposits a pot of the caller's (section 3).
    /// @param index The pot's place in the terms; `pot` must hash to `head.pots[index]`.
    function join(bytes32 deal, uint8 index, Head calldata head, Pot calldata pot) external;

    /// @notice Deposits a pot by its depositor's EIP-712 consent; anybody may bring it, once, until `expiry`.
    function joinWithConsent(
        bytes32 deal,
        uint8 index,
        Head calldata head,
        Pot calldata pot,
        uint64 expiry,
        bytes calldata signature
    ) external;

    /// @notice Answers the current ask (section 4). `rung` is the current rung's terms.
    function submit(
        bytes32 deal,
        Head calldata head,
        Rung calldata rung,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external;

    /// @notice `submit` and `judge`, both or neither. `history` is the history before the submission.
    function submitAndJudge(
        bytes32 deal,
        Terms calldata terms,
        Entry[] calldata history,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external;

    /// @notice Records the policy's result on the frozen evidence (section 5).
    function judge(bytes32 deal, Terms calldata terms, Entry[] calldata history) external;

    /// @notice Climbs to the next rung with the bond and that rung's fees (section 7).
    function challenge(bytes32 deal, Terms calldata terms) external;

    /// @notice Pays everybody by the final result, or refunds a void deal (section 8). Never judges.
    function close(bytes32 deal, Terms calldata terms, Entry[] calldata history) external;

    /// @notice Pays one leaf of a pot's payout root to its account (section 9).
    function collect(
        bytes32 deal,
        uint8 pot,
        uint256 index,
        address account,
        uint128 amount,
        bytes32[] calldata proof
    ) external;

    /// @notice After the term, pays what was not collected to the residual account.
    function sweep(bytes32 deal, uint8 pot) external;

    /// @notice Pays the caller's credit from transfers that failed.
    function withdraw(address token) external;

    /// @notice The owner stops or restarts `open` and `join`, nothing else (section 10).
    function stop(bool stopped) external;

    /// @notice What waits for `withdraw`.
    function credit(address token, address account) external view returns (uint256);
}
