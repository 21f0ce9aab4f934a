// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// A function that may be called.
struct Call {
    address target;
    bytes4 selector;
}

/// What the owner of an account lets its agent do (docs/reference/policy-account.md). Amounts are in the token's
/// smallest unit, times in Unix seconds, confidence in ten-thousandths.
struct Limits {
    address agent; // the session key's account
    address token; // the one token that the account pays in
    uint128 perAct; // the most that one act may move
    uint128 perDay; // the most that all acts of a day (UTC) may move
    uint64 expiry; // the last second
    uint16 confidence; // what `agree` verifiers must each say of an act; 0: nobody is asked
    uint8 agree;
    uint8 strikes; // so many acts without it trip the breaker
    address hot; // an account that `refill` tops up to `fill`; zero: none
    uint128 fill;
    bytes32 mandate; // EIP-712 digest of the mandate that these limits carry out; zero: none
    address[] verifiers; // ascending; none is the agent
    address[] payees; // who may be paid; naming a Book lets any of its deals be joined
    Call[] calls; // what may be called
}

/// A call that the agent asks for. `deadline`: the last second in which it may be brought.
struct Act {
    address target;
    bytes data;
    uint64 deadline;
}

/// A verifier's word about one act. `place`: in the limits' `verifiers`. `expiry`: the last second it counts.
struct Voice {
    uint8 place;
    uint16 confidence;
    uint64 expiry;
    bytes signature;
}

/// What an account remembers, in one slot.
struct Standing {
    uint64 nonce; // acts that were done, or refused and recorded
    uint128 spent; // moved on `day`
    uint32 day; // days since 1970
    uint8 strikes; // acts without enough confidence since the owner's last reset
    bool stopped;
    bool tripped;
}

/// @title An account whose agent acts within limits that only its owner sets
/// @notice An act that the agent did not sign, or that comes while the account does nothing, reverts and changes
/// nothing. One that the agent signed and the limits do not cover is refused *and recorded*: `act` answers false, and
/// the event and the counters stay.
interface IPolicyAccount {
    error NotOwner();
    error BadLimits();
    /// Not the limits that the account has.
    error OtherLimits();
    error Stopped();
    error Tripped();
    error Expired();
    /// After the act's own deadline.
    error Late();
    /// Not the agent's, over this act, with these voices, as the account's next.
    error BadSignature();
    /// The call failed, with this answer.
    error Failed(bytes answer);
    error Begun();

    /// `limits`: ABI form, so that logs alone tell.
    event LimitsSet(bytes32 indexed hash, bytes limits);
    /// An act was done. `amount`: what counted. `payee`: who gets it, a Book for a deal, the target where nothing moves.
    event Acted(uint64 indexed nonce, address indexed target, bytes4 selector, uint256 amount, address payee);
    /// An act was refused. `reason`: 1 not listed, 2 unreadable, 3 not a payee, 4 over the act's cap, 5 over the day's,
    /// 6 unsure. `sure`: how many verifiers agreed.
    event Refused(uint64 indexed nonce, address indexed target, uint8 reason, uint256 sure, bytes data);
    event BreakerTripped(uint64 nonce);
    event BreakerReset();
    event StopSet(bool stopped);
    event OwnerActed(address indexed target, bytes data);
    event Withdrawn(address indexed token, address indexed to, uint256 amount);

    /// @notice Gives a new account its first limits; once.
    function begin(Limits calldata limits) external;

    /// @notice Has the agent's act done, or refuses and records it. Anyone may bring it.
    /// @param limits Those of the account, in ABI form.
    /// @param signature The agent's, EIP-712, over the act, its voices and the account's next nonce.
    /// @return done Whether it was done.
    function act(bytes calldata limits, Act calldata what, Voice[] calldata voices, bytes calldata signature)
        external
        returns (bool done);

    /// @notice The owner's stop button; and back.
    function stop(bool stopped) external;

    /// @notice The owner forgets the strikes and closes the breaker again.
    function reset() external;

    /// @notice Other limits from now on. What was spent today and the strikes stay.
    function limit(Limits calldata limits) external;

    /// @notice The owner takes money out, at any time.
    function withdraw(address token, address to, uint256 amount) external;

    /// @notice The owner's own call: no limit holds, and nothing is counted.
    function execute(address target, bytes calldata data) external returns (bytes memory answer);

    /// @notice Who set the limits. Fixed when the account was made.
    function owner() external view returns (address);

    /// @notice The hash of the limits' ABI form.
    function limitsHash() external view returns (bytes32);

    function standing() external view returns (Standing memory);
}
