// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IBook} from "./interfaces/IBook.sol";
import {IPolicy} from "./interfaces/IPolicy.sol";
import {CHALLENGE, Consent, Leaf, Result, SUBMISSION, VERDICT} from "./interfaces/Types.sol";
import {Asking} from "./libraries/Asking.sol";
import {Calls} from "./libraries/Calls.sol";
import {History} from "./libraries/History.sol";
import {Pieces} from "./libraries/Pieces.sol";
import {Results} from "./libraries/Results.sol";
import {Rungs} from "./libraries/Rungs.sol";
import {Settle} from "./libraries/Settle.sol";
import {State, States} from "./libraries/States.sol";
import {TermsLib} from "./libraries/TermsLib.sol";
import {Walk} from "./libraries/Walk.sol";
import {Shape} from "./Shape.sol";

/// @title The Book of deals (docs/reference/deals.md; "section" below means a section of that page)
/// @notice Holds the deposits and bonds of every deal. Of a deal it stores the hash of its history and one word of
/// state; the deal's id commits to its terms, so acts bring the bytes that the id is made of. To stop the Book, its
/// owner calls `stop(true)`: no deal can then be opened or joined, and every deal that exists runs on, closes and pays.
contract Book is IBook, EIP712, ERC2771Context, ReentrancyGuardTransient {
    uint256 private constant FUNDING = 1;
    uint256 private constant RUNNING = 2;
    uint256 private constant CLOSED = 3;
    uint256 private constant VOID = 4;

    uint256 private constant BEFORE_TERMS = 52; // of a deal's bytes: opener 20, salt 32
    uint256 private constant MAX_DATA = 4_096;
    uint256 private constant MAX_ANSWER = 8_192;
    uint256 private constant MAX_LIST = 64; // values of a result, and slashed
    uint256 private constant PAYING_GAS = 3_800_000; // for the transfers of one close
    bytes32 private constant JOIN =
        keccak256("Join(bytes32 deal,uint8 pot,address token,uint128 amount,uint64 expiry)");

    struct Deal {
        bytes32 history; // section 4: the hash of all entries; zero while there is none
        uint256 state; // States; zero: no such deal
    }

    /// A deal as an act finds it: its id, its state, and a reader of its terms (at the token).
    struct Found {
        bytes32 id;
        State state;
        Walk.Reader terms;
    }

    /// What stays of a pot for the leaves of a payout root (section 9).
    struct Payout {
        bytes32 root;
        address token;
        uint64 end;
        bool swept;
        address residual;
        uint128 left;
        mapping(uint256 word => uint256) collected; // bit by leaf index
    }

    address public immutable owner;
    Shape public immutable shape;
    bool public stopped;
    mapping(bytes32 deal => Deal) private _deals;
    mapping(bytes32 deal => mapping(uint8 pot => Payout)) private payouts;
    /// @inheritdoc IBook
    mapping(address token => mapping(address account => uint256)) public credit;

    constructor(address owner_, address forwarder) EIP712("Troth", "1") ERC2771Context(forwarder) {
        owner = owner_;
        shape = new Shape();
    }

    /// @inheritdoc IBook
    function deals(bytes32 id) external view returns (bytes32 history, State memory state) {
        history = _history(id);
        States.unpack(state, _deals[id].state);
    }

    // --- section 2: open

    /// @inheritdoc IBook
    function open(bytes32 salt, bytes calldata terms) external nonReentrant returns (bytes32) {
        Found memory deal;
        _open(deal, salt, terms);
        _deals[deal.id].state = States.pack(deal.state);
        return deal.id;
    }

    /// @inheritdoc IBook
    function openAndJoin(bytes32 salt, bytes calldata terms, uint8 index, Consent[] calldata consents)
        external
        nonReentrant
        returns (bytes32)
    {
        Found memory deal;
        _open(deal, salt, terms);
        Walk.start(deal.terms, terms);
        _joinOwn(deal, index);
        for (uint256 i; i < consents.length; ++i) {
            Walk.start(deal.terms, terms);
            _joinConsented(deal, consents[i].pot, consents[i].expiry, consents[i].signature);
        }
        return deal.id;
    }

    function _open(Found memory deal, bytes32 salt, bytes calldata terms) private {
        if (stopped) revert Stopped();
        deal.state.missing = _shape(terms);
        deal.state.status = FUNDING;
        deal.id = _id(_msgSender(), salt, terms);
        if (_deals[deal.id].state != 0) revert Exists();
        emit DealOpened(deal.id, _msgSender(), salt, terms);
    }

    /// @dev Runs Shape's code as ours, so that policies are asked by the Book; it writes nothing.
    function _shape(bytes calldata terms) private returns (uint256 missing) {
        bytes memory input = abi.encodeCall(Shape.check, (terms));
        address code = address(shape);
        assembly ("memory-safe") {
            if iszero(delegatecall(gas(), code, add(input, 32), mload(input), 0, 32)) {
                returndatacopy(input, 0, returndatasize())
                revert(input, returndatasize())
            }
            missing := mload(0)
        }
    }

    function _id(address opener, bytes32 salt, bytes calldata terms) private view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), opener, salt, keccak256(terms)));
    }

    // --- section 3: join

    /// @inheritdoc IBook
    function join(bytes calldata deal, uint8 index) external nonReentrant {
        Found memory found = _known(deal);
        _going();
        _joinOwn(found, index);
    }

    function _joinOwn(Found memory deal, uint8 index) private {
        (address token, address depositor, uint256 amount) = _joinable(deal, index);
        // A fee pot's depositor is a role address, so no caller passes for it.
        if (depositor != _msgSender()) revert NotDepositor();
        _join(deal, index, token, depositor, amount);
    }

    /// @inheritdoc IBook
    function joinWithConsent(bytes calldata deal, uint8 index, uint64 expiry, bytes calldata signature)
        external
        nonReentrant
    {
        Found memory found = _known(deal);
        _going();
        _joinConsented(found, index, expiry, signature);
    }

    function _joinConsented(Found memory deal, uint8 index, uint64 expiry, bytes calldata signature) private {
        (address token, address depositor, uint256 amount) = _joinable(deal, index);
        if (TermsLib.isRole(depositor)) revert NotDepositor();
        // Consumed once, since a pot joins once.
        if (deal.state.joined & (1 << index) != 0) revert Joined();
        if (block.timestamp > expiry) revert BadConsent();
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(JOIN, deal.id, index, token, amount, expiry)));
        if (!_signed(depositor, digest, signature)) revert BadConsent();
        _join(deal, index, token, depositor, amount);
    }

    /// @dev A key's signature counts for its account even where the account has code: by EIP-7702 that is a delegation,
    /// which the key can take back at any time. Else code decides for itself (ERC-1271).
    function _signed(address account, bytes32 digest, bytes calldata signature) private view returns (bool) {
        (address recovered, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (err == ECDSA.RecoverError.NoError && recovered == account) return true;
        return SignatureChecker.isValidERC1271SignatureNowCalldata(account, digest, signature);
    }

    /// @inheritdoc IBook
    function joinWithPermit(bytes calldata deal_, uint8 index, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        Found memory deal = _known(deal_);
        _going();
        (address token, address depositor, uint256 amount) = _joinable(deal, index);
        if (depositor != _msgSender()) revert NotDepositor();
        // Somebody may have brought this permit before us: what counts is whether we may then take the amount.
        try IERC20Permit(token).permit(depositor, address(this), amount, deadline, v, r, s) {} catch {}
        _join(deal, index, token, depositor, amount);
    }

    /// @inheritdoc IBook
    function joinWithAuthorization(
        bytes calldata deal_,
        uint8 index,
        uint256 validAfter,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        Found memory deal = _known(deal_);
        _going();
        (address token, address depositor, uint256 amount) = _joinable(deal, index);
        if (TermsLib.isRole(depositor)) revert NotDepositor();
        _enter(deal, index);
        bytes32 nonce = keccak256(abi.encode(deal.id, index));
        bytes memory input = abi.encodeWithSignature(
            "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
            depositor,
            address(this),
            amount,
            validAfter,
            validBefore,
            nonce,
            v,
            r,
            s
        );
        if (!Calls.takeBy(token, input, amount)) revert TransferFailed();
    }

    function _going() private view {
        if (stopped) revert Stopped();
    }

    function _joinable(Found memory deal, uint256 index)
        private
        view
        returns (address token, address depositor, uint256 amount)
    {
        Walk.Reader memory r = deal.terms;
        token = Walk.account(r);
        uint256 fundBy = Walk.number(r, 8);
        r.spot += 1; // wrongBonds
        Walk.skip(r, Walk.number(r, 1));
        if (index >= Walk.number(r, 1)) revert BadTerms();
        if (deal.state.status != FUNDING) revert NotFunding();
        if (block.timestamp >= fundBy) revert TooLate();
        Walk.skip(r, index);
        (depositor, amount) = Walk.deposit(r);
    }

    function _join(Found memory deal, uint8 index, address token, address depositor, uint256 amount) private {
        _enter(deal, index);
        if (!Calls.take(token, depositor, amount)) revert TransferFailed();
    }

    function _enter(Found memory deal, uint8 index) private {
        State memory state = deal.state;
        uint256 bit = 1 << index;
        if (state.joined & bit != 0) revert Joined();
        state.joined |= bit;
        if (--state.missing == 0) {
            state.status = RUNNING;
            state.start = block.timestamp;
        }
        _deals[deal.id].state = States.pack(state);
        emit PotJoined(deal.id, index, uint64(state.start));
    }

    // --- section 4: asks and submissions

    /// @inheritdoc IBook
    function submit(bytes calldata deal_, uint8 ask, uint8 slot, bytes32 claim, bytes calldata data)
        external
        nonReentrant
    {
        Found memory deal = _known(deal_);
        _running(deal);
        bytes32 head = _submission(deal, _current(deal), ask, slot, data.length);
        _store(deal, _append(deal.id, _history(deal.id), head, claim, data));
    }

    /// @inheritdoc IBook
    function submitAndJudge(
        bytes calldata deal_,
        bytes calldata history,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external nonReentrant {
        Found memory deal = _known(deal_);
        _running(deal);
        (,, bytes32 h) = _submitAndJudge(deal, deal_, history, ask, slot, claim, data);
        _store(deal, h);
    }

    /// @inheritdoc IBook
    function submitAndClose(
        bytes calldata deal_,
        bytes calldata history,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external nonReentrant {
        Found memory deal = _known(deal_);
        _running(deal);
        (bytes32 head, bytes memory answer, bytes32 h) =
            _submitAndJudge(deal, deal_, history, ask, slot, claim, data);
        Settle.Context memory c = Settle.begin(deal_[BEFORE_TERMS:]);
        _closing(deal.state, c);
        _store(deal, h);
        Settle.replayWhole(c, history);
        Settle.enter(c, head, "");
        Settle.enter(c, _verdictHead(deal), answer);
        _settle(deal.id, c);
    }

    /// @return head The submission's. `answer`: the verdict's data. `h`: the history's hash after both.
    function _submitAndJudge(
        Found memory deal,
        bytes calldata deal_,
        bytes calldata history,
        uint256 ask,
        uint256 slot,
        bytes32 claim,
        bytes calldata data
    ) private returns (bytes32 head, bytes memory answer, bytes32 h) {
        Rungs.Facts memory rung = _current(deal);
        head = _submission(deal, rung, ask, slot, data.length);
        bytes memory input;
        (input, h) = _question(deal, rung, history, 1);
        History.write(input, head, claim, data);
        h = _append(deal.id, h, head, claim, data);
        (answer, h) = _judge(deal, deal_, rung, input, h);
    }

    /// @dev Checks a submission, fills its seat, and moves to the next ask when it was the last seat.
    /// @return The entry's head.
    function _submission(Found memory deal, Rungs.Facts memory rung, uint256 ask, uint256 slot, uint256 length)
        private
        view
        returns (bytes32)
    {
        if (length > MAX_DATA) revert TooLong();
        State memory state = deal.state;
        (uint256 current, uint256 start) = _roll(state, rung);
        bool frozen = current == rung.asks;
        if (!frozen && ask > current) revert TooEarly();
        if (frozen || ask < current) revert TooLate();
        address by = _msgSender();
        state.filled = _fill(deal, rung, ask, slot, by);
        if (state.filled == 0) {
            ++current;
            start = block.timestamp;
        }
        state.ask = current;
        state.start = start;
        return History.head(SUBMISSION, state.rung, ask, slot, by);
    }

    /// @dev The ask's seats with the caller's filled, or 0 once all are: the next ask starts empty.
    function _fill(Found memory deal, Rungs.Facts memory rung, uint256 ask, uint256 slot, address by)
        private
        pure
        returns (uint256 filled)
    {
        (uint256 list, uint256 slots) = Rungs.asked(rung, ask);
        uint256 place = Rungs.place(list, deal.terms.table, by);
        if (place == type(uint256).max) revert NotNamed();
        if (slot >= slots) revert BadSlot();
        uint256 seat = 1 << (place * slots + slot);
        if (ask == deal.state.ask) filled = deal.state.filled;
        if (filled & seat != 0) revert Duplicate();
        filled |= seat;
        if (filled == (1 << ((list & 0xff) * slots)) - 1) filled = 0;
    }

    /// @dev The ask that runs now and when it started; past the last ask: their number and the freeze.
    function _roll(State memory state, Rungs.Facts memory rung) private view returns (uint256 ask, uint256 start) {
        start = state.start;
        uint256 p = rung.asksAt;
        for (; ask < rung.asks; ++ask) {
            uint256 period;
            (period,,, p) = Rungs.ask(p);
            if (ask < state.ask) continue;
            if (block.timestamp < start + period) break;
            start += period;
        }
    }

    // --- section 5: judge

    /// @inheritdoc IBook
    function judge(bytes calldata deal_, bytes calldata history) external nonReentrant {
        Found memory deal = _known(deal_);
        _running(deal);
        (, bytes32 h) = _judgeAll(deal, deal_, history);
        _store(deal, h);
    }

    /// @inheritdoc IBook
    function judgeAndClose(bytes calldata deal_, bytes calldata history) external nonReentrant {
        Found memory deal = _known(deal_);
        _running(deal);
        (bytes memory answer, bytes32 h) = _judgeAll(deal, deal_, history);
        Settle.Context memory c = Settle.begin(deal_[BEFORE_TERMS:]);
        _closing(deal.state, c);
        _store(deal, h);
        Settle.replayWhole(c, history);
        Settle.enter(c, _verdictHead(deal), answer);
        _settle(deal.id, c);
    }

    function _judgeAll(Found memory deal, bytes calldata deal_, bytes calldata history)
        private
        returns (bytes memory, bytes32)
    {
        Rungs.Facts memory rung = _current(deal);
        (bytes memory input, bytes32 h) = _question(deal, rung, history, 0);
        return _judge(deal, deal_, rung, input, h);
    }

    /// @dev The calldata of `IPolicy.judge` over the history and `more` entries, which are then to be written, and the
    /// history's hash. The freeze time is written by `_judge`.
    function _question(Found memory deal, Rungs.Facts memory rung, bytes calldata history, uint256 more)
        private
        view
        returns (bytes memory input, bytes32 h)
    {
        (bytes32 id, uint256 r, bytes4 selector) = (deal.id, deal.state.rung, IPolicy.judge.selector);
        uint256 end;
        assembly ("memory-safe") {
            input := mload(0x40)
            mstore(add(input, 32), selector)
            mstore(add(input, 36), id)
            mstore(add(input, 68), r)
            mstore(add(input, 100), 160)
            end := add(input, 196)
        }
        end = Asking.rung(rung.p, deal.terms.table, end);
        assembly ("memory-safe") {
            mstore(add(input, 164), sub(end, add(input, 36)))
            mstore(input, sub(end, add(input, 32)))
            mstore(0x40, and(add(end, 31), not(31)))
        }
        h = History.writeAll(input, history, id, more);
        if (h != _history(id)) revert BadHistory();
    }

    /// @return answer The verdict's data. `next`: the history's hash after it.
    function _judge(
        Found memory deal,
        bytes calldata deal_,
        Rungs.Facts memory rung,
        bytes memory input,
        bytes32 h
    ) private returns (bytes memory answer, bytes32 next) {
        State memory state = deal.state;
        (uint256 ask, uint256 frozenAt) = _roll(state, rung);
        if (ask < rung.asks) revert TooEarly();
        if (state.judgedAt != 0) revert Judged();
        if (block.timestamp >= frozenAt + rung.verdictPeriod) revert TooLate();
        assembly ("memory-safe") {
            mstore(add(input, 132), frozenAt)
        }
        address policy = Pieces.account(Pieces.one(rung.p), deal.terms.table);
        answer = _verdict(policy, Pieces.word(rung.p + 1), input);
        _check(deal_, state.rung, answer);
        state.judgedAt = block.timestamp;
        next = _append(deal.id, h, _verdictHead(deal), 0, answer);
    }

    /// @dev Of a verdict at the current rung that the caller brings about now.
    function _verdictHead(Found memory deal) private view returns (bytes32) {
        return History.head(VERDICT, deal.state.rung, 0, 0, _msgSender());
    }

    /// @dev What the policy answers. Its `bytes` is read by hand: nothing it returns can make this decode revert.
    function _verdict(address policy, bytes32 codehash, bytes memory input) private view returns (bytes memory answer) {
        if (policy.codehash != codehash) revert PolicyFailed();
        (bool ok, bytes memory found) = Calls.ask(policy, Calls.POLICY_GAS, input, MAX_ANSWER + 64);
        if (!ok || found.length < 64) revert PolicyFailed();
        uint256 offset;
        uint256 length;
        assembly ("memory-safe") {
            offset := mload(add(found, 32))
            answer := add(found, 64)
            length := mload(answer)
        }
        if (offset != 32 || length > MAX_ANSWER || length > found.length - 64) revert PolicyFailed();
        if (length == 0) revert NoVerdict();
    }

    function _check(bytes calldata deal_, uint256 r, bytes memory answer) private pure {
        (bool ok, Result memory result) = Results.decode(answer);
        if (!ok || result.outcome == 0 || (result.root == 0) != (result.total == 0)) revert BadResult();
        if (result.values.length > MAX_LIST || result.slashed.length > MAX_LIST) revert BadResult();
        // Most results slash nobody and pay by no root: then the rest of the terms need not be read.
        if (result.slashed.length == 0 && result.total == 0) return;
        if (!Settle.allowed(deal_[BEFORE_TERMS:], r, result)) revert BadResult();
    }

    // --- section 7: challenge

    /// @inheritdoc IBook
    function challenge(bytes calldata deal_) external nonReentrant {
        Found memory deal = _known(deal_);
        _running(deal);
        Walk.Reader memory terms = deal.terms;
        State memory state = deal.state;
        address token = Walk.account(terms);
        terms.spot += 8; // fundBy
        address wrongBonds = Walk.account(terms);
        uint256 rungs = Walk.number(terms, 1);
        uint256 r = state.rung;
        if (r + 1 == rungs) revert TopRung();
        Walk.skip(terms, r);
        Rungs.Facts memory rung;
        Rungs.read(rung, terms.spot + 2);
        uint256 amount = _climb(state, rung);
        Walk.skip(terms, 1);
        address caller = _msgSender();
        for (uint256 above = r + 1; above < rungs; ++above) {
            Rungs.read(rung, terms.spot + 2);
            uint256 bench = Rungs.bench(rung);
            if (Rungs.place(bench, terms.table, caller) != type(uint256).max) revert BenchMember();
            Walk.skip(terms, 1);
        }
        if (caller == wrongBonds) revert WrongBonds();
        for (uint256 pots = Walk.number(terms, 1); pots != 0; --pots) {
            (address depositor, uint256 fee) = Walk.deposit(terms);
            if (TermsLib.feeRung(depositor, rungs) == r + 1) amount += fee;
        }
        bytes32 head = History.head(CHALLENGE, r, 0, 0, caller);
        _store(deal, _append(deal.id, _history(deal.id), head, 0, ""));
        if (!Calls.take(token, caller, amount)) revert TransferFailed();
    }

    /// @dev Checks the window and moves to the next rung, which starts now. Returns the bond.
    function _climb(State memory state, Rungs.Facts memory rung) private view returns (uint256) {
        (bool decided, uint256 since) = _decided(state, rung);
        if (!decided) revert TooEarly();
        if (block.timestamp >= since + rung.window) revert TooLate();
        ++state.rung;
        state.ask = 0;
        state.start = block.timestamp;
        state.judgedAt = 0;
        state.filled = 0;
        return rung.bond;
    }

    /// @dev Whether the current rung has its verdict or is silent, and since when.
    function _decided(State memory state, Rungs.Facts memory rung) private view returns (bool, uint256 since) {
        since = state.judgedAt;
        if (since != 0) return (true, since);
        uint256 ask;
        (ask, since) = _roll(state, rung);
        since += rung.verdictPeriod;
        return (ask == rung.asks && block.timestamp >= since, since);
    }

    // --- section 8: close

    /// @inheritdoc IBook
    function close(bytes calldata deal_, bytes calldata history) external nonReentrant {
        Found memory deal = _known(deal_);
        if (deal.state.status > RUNNING) revert Closed();
        if (deal.state.status == FUNDING) return _void(deal, deal_, history);
        Settle.Context memory c = Settle.begin(deal_[BEFORE_TERMS:]);
        _closing(deal.state, c);
        _deals[deal.id].state = States.pack(deal.state);
        if (Settle.replay(c, history, deal.id) != _history(deal.id)) revert BadHistory();
        _settle(deal.id, c);
    }

    /// @dev A deal that was not joined in time: nothing happened in it, and everybody gets back what they deposited.
    function _void(Found memory deal, bytes calldata deal_, bytes calldata history) private {
        deal.terms.spot += 1; // token
        if (block.timestamp < Walk.number(deal.terms, 8)) revert NotYet();
        if (history.length != 0) revert BadHistory();
        deal.state.status = VOID;
        // Every write of ours comes before the first transfer.
        _deals[deal.id].state = States.pack(deal.state);
        Result memory none;
        emit DealClosed(deal.id, uint8(VOID), none);
        Settle.Context memory c = Settle.begin(deal_[BEFORE_TERMS:]);
        Settle.refund(c, deal.state.joined);
        _payAll(Settle.token(c), c);
    }

    /// @dev Checks that a running deal can close, and has its state say so; nothing is stored yet.
    function _closing(State memory state, Settle.Context memory c) private view {
        Settle.reach(c, state.rung);
        if (!_over(state, c)) revert NotYet();
        c.closer = _msgSender();
        state.status = CLOSED;
        state.filled = 0;
    }

    /// @dev What the history, which `c` has taken in, comes to. Every write of ours comes before the first transfer.
    function _settle(bytes32 id, Settle.Context memory c) private {
        Settle.settle(c);
        address token = Settle.token(c);
        for (uint256 i; i < c.keeps; ++i) _keep(id, token, c.results[c.last].root, c.kept[i]);
        emit DealClosed(id, uint8(CLOSED), Settle.result(c));
        _payAll(token, c);
    }

    /// @dev Whether the last window is over, or the top rung has its verdict or is silent.
    function _over(State memory state, Settle.Context memory c) private view returns (bool) {
        Rungs.Facts memory rung = c.facts[state.rung];
        (bool decided, uint256 since) = _decided(state, rung);
        return decided && (state.rung + 1 == c.rungs || block.timestamp >= since + rung.window);
    }

    function _keep(bytes32 id, address token, bytes32 root, Settle.Kept memory kept) private {
        Payout storage payout = payouts[id][uint8(kept.pot)];
        payout.root = root;
        payout.token = token;
        payout.end = uint64(block.timestamp + kept.term);
        payout.residual = kept.residual;
        payout.left = uint128(kept.amount);
    }

    /// @dev Payees of some tokens run code of their own, and may waste gas: transfers get so much in all, what comes
    /// after is credited, and the close fits one transaction.
    function _payAll(address token, Settle.Context memory c) private {
        uint256 start = gasleft();
        uint256 n = c.amounts.length;
        for (uint256 place; place < n; ++place) {
            uint256 amount = c.amounts[place];
            if (amount != 0) _pay(token, Settle.account(c, place), amount, start - gasleft() < PAYING_GAS);
        }
    }

    /// @dev One transfer; if it fails, or is not to be tried, a credit for `withdraw`.
    function _pay(address token, address account, uint256 amount, bool tried) private {
        if (tried && Calls.send(token, account, amount)) return;
        credit[token][account] += amount;
        emit CreditAdded(token, account, amount);
    }

    // --- section 9: collect, sweep, withdraw

    /// @inheritdoc IBook
    function collect(
        bytes32 id,
        uint8 pot,
        uint256 index,
        address account,
        uint128 amount,
        bytes32[] calldata proof
    ) external nonReentrant {
        Payout storage payout = _collectable(id, pot);
        if (!_collect(payout, id, pot, index, account, amount, proof)) revert Collected();
    }

    /// @inheritdoc IBook
    function collectMany(bytes32 id, uint8 pot, Leaf[] calldata leaves) external nonReentrant {
        Payout storage payout = _collectable(id, pot);
        for (uint256 i; i < leaves.length; ++i) {
            Leaf calldata leaf = leaves[i];
            // One that was collected meanwhile is passed over, so that nobody can stop a batch by collecting one of it.
            _collect(payout, id, pot, leaf.index, leaf.account, leaf.amount, leaf.proof);
        }
    }

    function _collectable(bytes32 id, uint8 pot) private view returns (Payout storage payout) {
        payout = payouts[id][pot];
        if (payout.root == 0) _noRoot(id);
        if (block.timestamp >= payout.end) revert TooLate();
    }

    /// @dev False, and nothing is done, if the leaf is collected already.
    function _collect(
        Payout storage payout,
        bytes32 id,
        uint8 pot,
        uint256 index,
        address account,
        uint128 amount,
        bytes32[] calldata proof
    ) private returns (bool) {
        uint256 bit = 1 << (index & 0xff);
        uint256 word = payout.collected[index >> 8];
        if (word & bit != 0) return false;
        // Hashed twice, so that no inner node passes for a leaf.
        bytes32 leaf = keccak256(
            abi.encode(keccak256(abi.encode(block.chainid, address(this), id, pot, index, account, amount)))
        );
        if (!MerkleProof.verifyCalldata(proof, payout.root, leaf)) revert BadProof();
        if (amount > payout.left) revert OverTotal();
        payout.collected[index >> 8] = word | bit;
        payout.left -= amount;
        emit LeafCollected(id, pot, index, account, amount);
        _pay(payout.token, account, amount, true);
        return true;
    }

    /// @inheritdoc IBook
    function sweep(bytes32 id, uint8 pot) external nonReentrant {
        Payout storage payout = payouts[id][pot];
        if (payout.root == 0) _noRoot(id);
        if (block.timestamp < payout.end) revert NotYet();
        if (payout.swept) revert Swept();
        payout.swept = true;
        uint128 amount = payout.left;
        payout.left = 0;
        emit RootSwept(id, pot, amount);
        if (amount != 0) _pay(payout.token, payout.residual, amount, true);
    }

    /// @inheritdoc IBook
    function withdraw(address token) external nonReentrant {
        address account = _msgSender();
        uint256 amount = credit[token][account];
        if (amount == 0) revert Nothing();
        credit[token][account] = 0;
        emit Withdrawn(token, account, amount);
        if (!Calls.sendUncapped(token, account, amount)) revert TransferFailed();
    }

    function _noRoot(bytes32 id) private view {
        _stored(id);
        revert NoRoot();
    }

    // --- section 10: stop

    /// @inheritdoc IBook
    function stop(bool stopped_) external {
        if (_msgSender() != owner) revert NotOwner();
        stopped = stopped_;
        emit StopSet(stopped_);
    }

    // --- shared

    /// @dev The deal that these bytes (opener, salt, terms) make: another opener, salt or byte is another deal.
    function _known(bytes calldata deal_) private view returns (Found memory deal) {
        if (deal_.length < BEFORE_TERMS) revert Unknown();
        bytes calldata terms = deal_[BEFORE_TERMS:];
        deal.id = _id(address(bytes20(deal_[:20])), bytes32(deal_[20:BEFORE_TERMS]), terms);
        States.unpack(deal.state, _stored(deal.id));
        Walk.start(deal.terms, terms);
    }

    function _running(Found memory deal) private pure {
        if (deal.state.status != RUNNING) revert NotRunning();
    }

    function _stored(bytes32 id) private view returns (uint256 state) {
        state = _deals[id].state;
        if (state == 0) revert Unknown();
    }

    /// @dev The history's hash; it starts as the deal's id.
    function _history(bytes32 id) private view returns (bytes32 h) {
        h = _deals[id].history;
        if (h == 0) h = id;
    }

    /// @dev The current rung.
    function _current(Found memory deal) private pure returns (Rungs.Facts memory rung) {
        Walk.Reader memory r = deal.terms;
        r.spot += 11; // token, fundBy, wrongBonds, how many rungs
        Walk.skip(r, deal.state.rung);
        Rungs.read(rung, r.spot + 2);
    }

    /// @dev Writes what an act made of the deal: its state, and the history's hash.
    function _store(Found memory deal, bytes32 h) private {
        Deal storage stored = _deals[deal.id];
        stored.state = States.pack(deal.state);
        stored.history = h;
    }

    function _append(bytes32 id, bytes32 h, bytes32 head, bytes32 claim, bytes memory data) private returns (bytes32) {
        emit Recorded(id, head, claim, data);
        return History.append(h, head, keccak256(abi.encodePacked(claim, data)));
    }
}
