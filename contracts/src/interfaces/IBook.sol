// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {State} from "../libraries/States.sol";
import {Consent, Leaf, Result} from "./Types.sol";

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

    /// The terms' bytes, so that logs alone rebuild every deal.
    event DealOpened(bytes32 indexed deal, address indexed opener, bytes32 salt, bytes terms);
    /// `started`: when rung 0 began, or 0 while a pot is missing.
    event PotJoined(bytes32 indexed deal, uint8 pot, uint64 started);
    /// One more entry of the history. `head`: kind, rung, ask, slot (a byte each), time (8 bytes), account (20 bytes).
    event Recorded(bytes32 indexed deal, bytes32 head, bytes32 claim, bytes data);
    /// `status` 3 closed, 4 void (`result` is then empty).
    event DealClosed(bytes32 indexed deal, uint8 status, Result result);
    /// A transfer failed; the amount waits for `withdraw`.
    event CreditAdded(address indexed token, address indexed account, uint256 amount);
    event Withdrawn(address indexed token, address indexed account, uint256 amount);
    event LeafCollected(bytes32 indexed deal, uint8 pot, uint256 index, address account, uint128 amount);
    event RootSwept(bytes32 indexed deal, uint8 pot, uint128 amount);
    event StopSet(bool stopped);

    // In every act below, `deal` is what the deal's id is made of: opener (20 bytes), salt (32 bytes), terms.

    /// @notice Publishes terms and moves nothing (section 2).
    /// @param terms In their one form of bytes (section 1).
    /// @return deal keccak256(chain id, book, opener, salt, keccak256(terms))
    function open(bytes32 salt, bytes calldata terms) external returns (bytes32 deal);

    /// @notice `open`, `join` of a pot of the caller's, and `joinWithConsent` of others', all or nothing.
    function openAndJoin(bytes32 salt, bytes calldata terms, uint8 index, Consent[] calldata consents)
        external
        returns (bytes32 deal);

    /// @notice Deposits a pot of the caller's (section 3).
    /// @param index The pot's place in the terms.
    function join(bytes calldata deal, uint8 index) external;

    /// @notice Deposits a pot by its depositor's EIP-712 consent; anybody may bring it, once, until `expiry`.
    function joinWithConsent(bytes calldata deal, uint8 index, uint64 expiry, bytes calldata signature) external;

    /// @notice `join` with an ERC-2612 permit of the caller's for exactly the pot's amount, brought to the token first. A
    /// permit that the token refuses, as one that somebody brought before, does no harm if the Book may take the amount.
    function joinWithPermit(bytes calldata deal, uint8 index, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Deposits a pot by its depositor's ERC-3009 authorization; anybody may bring it. Its nonce is
    /// keccak256(deal id, pot), so that it can pay for nothing but this pot.
    function joinWithAuthorization(
        bytes calldata deal,
        uint8 index,
        uint256 validAfter,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Answers the current ask of the current rung (section 4).
    function submit(bytes calldata deal, uint8 ask, uint8 slot, bytes32 claim, bytes calldata data) external;

    /// @notice `submit` and `judge`, both or neither. `history` is the history before the submission, as for `judge`.
    function submitAndJudge(
        bytes calldata deal,
        bytes calldata history,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external;

    /// @notice `submit`, `judge` and `close`, all three or none: where the claim alone decides, and the rung is the top.
    function submitAndClose(
        bytes calldata deal,
        bytes calldata history,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external;

    /// @notice Records the policy's result on the frozen evidence (section 5).
    /// @param history Every entry: head, claim, length of the data (2 bytes), data.
    function judge(bytes calldata deal, bytes calldata history) external;

    /// @notice `judge` and `close`, both or neither: at the top rung. `history` as for `judge`.
    function judgeAndClose(bytes calldata deal, bytes calldata history) external;

    /// @notice Climbs to the next rung with the bond and that rung's fees (section 7).
    function challenge(bytes calldata deal) external;

    /// @notice Pays everybody by the final result, or refunds a void deal (section 8). Never judges.
    /// @param history Every entry, shorter: head, then of a submission keccak256(claim, data), of a verdict the length
    /// of the data (2 bytes) and the data, of a challenge nothing.
    function close(bytes calldata deal, bytes calldata history) external;

    /// @notice Pays one leaf of a pot's payout root to its account (section 9).
    function collect(
        bytes32 deal,
        uint8 pot,
        uint256 index,
        address account,
        uint128 amount,
        bytes32[] calldata proof
    ) external;

    /// @notice `collect` for many leaves; those collected already are passed over, any other refusal refuses them all.
    function collectMany(bytes32 deal, uint8 pot, Leaf[] calldata leaves) external;

    /// @notice After the term, pays what was not collected to the residual account.
    function sweep(bytes32 deal, uint8 pot) external;

    /// @notice Pays the caller's credit from transfers that failed.
    function withdraw(address token) external;

    /// @notice The owner stops or restarts `open` and `join`, nothing else (section 10).
    function stop(bool stopped) external;

    /// @notice The hash of a deal's history and where the deal stands; status 0 for no such deal.
    function deals(bytes32 deal) external view returns (bytes32 history, State memory state);

    /// @notice What waits for `withdraw`.
    function credit(address token, address account) external view returns (uint256);
}
