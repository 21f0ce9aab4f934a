// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// The shapes of docs/reference/deals.md, section 1. Amounts are in the token's smallest unit, periods in seconds.

/// What a pot pays at one outcome.
struct Rule {
    uint8 outcome; // 0: the rule for a slashed depositor
    uint8 kind; // 0 amounts, 1 weights, 2 values, 3 answered, 4 root
    uint8 rung; // kind 3: whose bench
    uint32 term; // kind 4: seconds to collect
    address[] payees; // kinds 0 to 2
    uint128[] numbers; // kinds 0 and 1
}

/// A deposit and what becomes of it.
struct Pot {
    bytes32 name;
    address depositor; // an account, or 0x…(0x10 + r): whoever starts rung r by a challenge
    uint128 amount;
    address residual; // an account, KEEPER or DEPOSITOR
    Rule[] rules; // outcomes strictly ascending
}

/// Who is asked for what, and for how long.
struct Ask {
    bytes32 kind;
    address[] who; // empty: the accounts of the ask before
    uint32 period;
    uint8 slots;
}

/// One level of judgement.
struct Rung {
    address policy;
    bytes32 codehash;
    Ask[] asks;
    uint32 verdictPeriod;
    uint32 window;
    uint128 bond;
    uint8 silent; // 0: silence keeps the result of the rung below
    bytes32 param; // what this deal tells its policy beforehand, such as a hash lock; or zero
}

/// What is promised.
struct Terms {
    address token;
    uint64 fundBy; // Unix seconds
    address wrongBonds;
    Pot[] pots;
    Rung[] rungs;
}

/// A verdict's content.
struct Result {
    uint8 outcome;
    uint128[] values;
    address[] slashed; // strictly ascending
    bytes32 root;
    uint128 total;
}

/// One line of a deal's history (section 4).
struct Entry {
    uint8 kind; // 1 submission, 2 verdict, 3 challenge
    address by;
    uint8 rung;
    uint8 ask;
    uint8 slot;
    uint64 time;
    bytes32 claim;
    bytes data;
}

/// A depositor's EIP-712 consent to somebody else's bringing its deposit (section 3).
struct Consent {
    uint8 pot;
    uint64 expiry;
    bytes signature;
}

/// One payee under a payout root (section 9), with the proof from its leaf to the root.
struct Leaf {
    uint256 index;
    address account;
    uint128 amount;
    bytes32[] proof;
}

address constant CHALLENGER = address(0x01);
address constant KEEPER = address(0x02);
address constant DEPOSITOR = address(0x03);
uint160 constant CLIMBER = 0x10; // climber(r) = CLIMBER + r
uint160 constant LAST_ROLE = 0xff; // addresses up to here are never accounts

// Outcomes that every feature has; 3 and above are the feature's.
uint8 constant UPHELD = 1;
uint8 constant REFUTED = 2;

uint8 constant SUBMISSION = 1;
uint8 constant VERDICT = 2;
uint8 constant CHALLENGE = 3;
