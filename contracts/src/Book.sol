// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IBook} from "./interfaces/IBook.sol";
import {IPolicy} from "./interfaces/IPolicy.sol";
import {CHALLENGE, Entry, Leaf, Result, Rule, Rung, SUBMISSION, Terms, VERDICT} from "./interfaces/Types.sol";
import {Calls} from "./libraries/Calls.sol";
import {History} from "./libraries/History.sol";
import {Packed} from "./libraries/Packed.sol";
import {Results} from "./libraries/Results.sol";
import {Settle} from "./libraries/Settle.sol";
import {State, States} from "./libraries/States.sol";
import {TermsLib} from "./libraries/TermsLib.sol";
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
        Packed.Reader terms;
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
        return (_history(id), States.unpack(_deals[id].state));
    }

    // --- section 2: open

    /// @inheritdoc IBook
    function open(bytes32 salt, bytes calldata terms) external nonReentrant returns (bytes32 id) {
        State memory state;
        (id, state) = _open(salt, terms);
        _deals[id].state = States.pack(state);
    }

    /// @inheritdoc IBook
    function openAndJoin(bytes32 salt, bytes calldata terms, uint8 index) external nonReentrant returns (bytes32) {
        Found memory deal;
        (deal.id, deal.state) = _open(salt, terms);
        deal.terms = Packed.start(terms);
        (address token, address depositor, uint256 amount) = _joinable(deal, index);
        if (depositor != _msgSender()) revert NotDepositor();
        _join(deal, index, token, depositor, amount);
        return deal.id;
    }

    function _open(bytes32 salt, bytes calldata terms) private returns (bytes32 id, State memory state) {
        if (stopped) revert Stopped();
        state.missing = shape.check(terms);
        state.status = FUNDING;
        id = _id(_msgSender(), salt, terms);
        if (_deals[id].state != 0) revert Exists();
        emit DealOpened(id, _msgSender(), salt, terms);
    }

    function _id(address opener, bytes32 salt, bytes calldata terms) private view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), opener, salt, keccak256(terms)));
    }

    // --- section 3: join

    /// @inheritdoc IBook
    function join(bytes calldata deal_, uint8 index) external nonReentrant {
        Found memory deal = _going(deal_);
        (address token, address depositor, uint256 amount) = _joinable(deal, index);
        // A fee pot's depositor is a role address, so no caller passes for it.
        if (depositor != _msgSender()) revert NotDepositor();
        _join(deal, index, token, depositor, amount);
    }

    /// @inheritdoc IBook
    function joinWithConsent(bytes calldata deal_, uint8 index, uint64 expiry, bytes calldata signature)
        external
        nonReentrant
    {
        Found memory deal = _going(deal_);
        (address token, address depositor, uint256 amount) = _joinable(deal, index);
        if (TermsLib.isRole(depositor)) revert NotDepositor();
        // Consumed once, since a pot joins once.
        if (deal.state.joined & (1 << index) != 0) revert Joined();
        if (block.timestamp > expiry) revert BadConsent();
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(JOIN, deal.id, index, token, amount, expiry)));
        if (!SignatureChecker.isValidSignatureNowCalldata(depositor, digest, signature)) revert BadConsent();
        _join(deal, index, token, depositor, amount);
    }

    /// @inheritdoc IBook
    function joinWithPermit(bytes calldata deal_, uint8 index, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        Found memory deal = _going(deal_);
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
        Found memory deal = _going(deal_);
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

    function _going(bytes calldata deal_) private view returns (Found memory deal) {
        deal = _known(deal_);
        if (stopped) revert Stopped();
    }

    function _joinable(Found memory deal, uint256 index)
        private
        view
        returns (address token, address depositor, uint256 amount)
    {
        Packed.Reader memory r = deal.terms;
        token = Packed.account(r);
        uint256 fundBy = Packed.number(r, 8);
        r.spot += 1; // wrongBonds
        Packed.toPots(r);
        if (index >= Packed.number(r, 1)) revert BadTerms();
        if (deal.state.status != FUNDING) revert NotFunding();
        if (block.timestamp >= fundBy) revert TooLate();
        Packed.skip(r, index);
        (depositor, amount) = Packed.deposit(r);
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
        Found memory deal = _running(deal_);
        bytes32 head = _submission(deal, _rung(deal), ask, slot, data.length);
        _deals[deal.id].state = States.pack(deal.state);
        _deals[deal.id].history = _append(deal.id, _history(deal.id), head, claim, data);
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
        Found memory deal = _running(deal_);
        Rung memory rung = _rung(deal);
        bytes32 head = _submission(deal, rung, ask, slot, data.length);
        (Entry[] memory all, bytes32 h) = History.entries(history, deal.id, 1);
        if (h != _history(deal.id)) revert BadHistory();
        all[all.length - 1] = History.entry(head, claim, data);
        h = _append(deal.id, h, head, claim, data);
        _judge(deal, deal_, rung, all, h);
    }

    /// @dev Checks a submission, fills its seat, and moves to the next ask when it was the last seat.
    /// @return The entry's head.
    function _submission(Found memory deal, Rung memory rung, uint256 ask, uint256 slot, uint256 length)
        private
        view
        returns (bytes32)
    {
        if (length > MAX_DATA) revert TooLong();
        State memory state = deal.state;
        (uint256 current, uint256 start) = _roll(state, rung);
        bool frozen = current == rung.asks.length;
        if (!frozen && ask > current) revert TooEarly();
        if (frozen || ask < current) revert TooLate();
        state.filled = _fill(rung, ask, slot, ask == state.ask ? state.filled : 0);
        if (state.filled == 0) {
            ++current;
            start = block.timestamp;
        }
        state.ask = current;
        state.start = start;
        return History.head(SUBMISSION, state.rung, ask, slot, _msgSender());
    }

    /// @dev The ask's seats with the caller's filled, or 0 once all are: the next ask starts empty.
    function _fill(Rung memory rung, uint256 ask, uint256 slot, uint256 filled) private view returns (uint256) {
        address[] memory who = TermsLib.askedOf(rung, ask);
        uint256 place = TermsLib.placeIn(who, _msgSender());
        if (place == type(uint256).max) revert NotNamed();
        uint256 slots = rung.asks[ask].slots;
        if (slot >= slots) revert BadSlot();
        uint256 seat = 1 << (place * slots + slot);
        if (filled & seat != 0) revert Duplicate();
        filled |= seat;
        return filled == (1 << (who.length * slots)) - 1 ? 0 : filled;
    }

    /// @dev The ask that runs now and when it started; past the last ask: their number and the freeze.
    function _roll(State memory state, Rung memory rung) private view returns (uint256 ask, uint256 start) {
        ask = state.ask;
        start = state.start;
        while (ask < rung.asks.length && block.timestamp >= start + rung.asks[ask].period) {
            start += rung.asks[ask++].period;
        }
    }

    // --- section 5: judge

    /// @inheritdoc IBook
    function judge(bytes calldata deal_, bytes calldata history) external nonReentrant {
        Found memory deal = _running(deal_);
        (Entry[] memory all, bytes32 h) = History.entries(history, deal.id, 0);
        if (h != _history(deal.id)) revert BadHistory();
        _judge(deal, deal_, _rung(deal), all, h);
    }

    function _judge(Found memory deal, bytes calldata deal_, Rung memory rung, Entry[] memory all, bytes32 h) private {
        State memory state = deal.state;
        (uint256 ask, uint256 frozenAt) = _roll(state, rung);
        if (ask < rung.asks.length) revert TooEarly();
        if (state.judgedAt != 0) revert Judged();
        if (block.timestamp >= frozenAt + rung.verdictPeriod) revert TooLate();
        bytes memory answer = _verdict(
            rung, abi.encodeCall(IPolicy.judge, (deal.id, uint8(state.rung), rung, uint64(frozenAt), all))
        );
        _check(deal_, state.rung, answer);
        state.judgedAt = block.timestamp;
        _deals[deal.id].state = States.pack(state);
        bytes32 head = History.head(VERDICT, state.rung, 0, 0, _msgSender());
        _deals[deal.id].history = _append(deal.id, h, head, 0, answer);
    }

    /// @dev What the policy answers. Its `bytes` is read by hand: nothing it returns can make this decode revert.
    function _verdict(Rung memory rung, bytes memory input) private view returns (bytes memory answer) {
        if (rung.policy.codehash != rung.codehash) revert PolicyFailed();
        (bool ok, bytes memory found) = Calls.ask(rung.policy, Calls.POLICY_GAS, input, MAX_ANSWER + 64);
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
        Terms memory terms = Packed.terms(deal_[BEFORE_TERMS:]);
        for (uint256 i; i < result.slashed.length; ++i) {
            address account = result.slashed[i];
            // Who is yet to judge has done nothing, and benches do not count in comparisons: nobody could object.
            if (
                TermsLib.onBench(terms, r + 1, account)
                    || (!TermsLib.onBench(terms, 1, account) && !TermsLib.deposits(terms, account))
            ) revert BadResult();
        }
        for (uint256 i; i < terms.pots.length; ++i) {
            Rule[] memory rules = terms.pots[i].rules;
            for (uint256 j; j < rules.length; ++j) {
                if (rules[j].kind == 4 && rules[j].outcome == result.outcome && result.total > terms.pots[i].amount) {
                    revert BadResult();
                }
            }
        }
    }

    // --- section 7: challenge

    /// @inheritdoc IBook
    function challenge(bytes calldata deal_) external nonReentrant {
        Found memory deal = _running(deal_);
        Packed.Reader memory terms = deal.terms;
        State memory state = deal.state;
        address token = Packed.account(terms);
        terms.spot += 8; // fundBy
        address wrongBonds = Packed.account(terms);
        uint256 rungs = Packed.peek(terms);
        uint256 r = state.rung;
        if (r + 1 == rungs) revert TopRung();
        uint256 amount = _climb(state, Packed.rung(terms, r));
        address caller = _msgSender();
        for (uint256 above = r + 1; above < rungs; ++above) {
            address[] memory bench = TermsLib.benchOf(Packed.rung(terms, above));
            if (TermsLib.placeIn(bench, caller) != type(uint256).max) revert BenchMember();
        }
        if (caller == wrongBonds) revert WrongBonds();
        Packed.toPots(terms);
        for (uint256 pots = Packed.number(terms, 1); pots != 0; --pots) {
            (address depositor, uint256 fee) = Packed.deposit(terms);
            if (TermsLib.feeRung(depositor, rungs) == r + 1) amount += fee;
        }
        _deals[deal.id].state = States.pack(state);
        bytes32 head = History.head(CHALLENGE, r, 0, 0, caller);
        _deals[deal.id].history = _append(deal.id, _history(deal.id), head, 0, "");
        if (!Calls.take(token, caller, amount)) revert TransferFailed();
    }

    /// @dev Checks the window and moves to the next rung, which starts now. Returns the bond.
    function _climb(State memory state, Rung memory rung) private view returns (uint256) {
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
    function _decided(State memory state, Rung memory rung) private view returns (bool, uint256 since) {
        since = state.judgedAt;
        if (since != 0) return (true, since);
        uint256 ask;
        (ask, since) = _roll(state, rung);
        since += rung.verdictPeriod;
        return (ask == rung.asks.length && block.timestamp >= since, since);
    }

    // --- section 8: close

    /// @inheritdoc IBook
    function close(bytes calldata deal_, bytes calldata history) external nonReentrant {
        Found memory deal = _known(deal_);
        State memory state = deal.state;
        if (state.status > RUNNING) revert Closed();
        Terms memory terms = Packed.terms(deal_[BEFORE_TERMS:]);
        if (state.status == FUNDING ? block.timestamp < terms.fundBy : !_over(state, terms)) revert NotYet();
        bytes32 digest = _history(deal.id);
        state.status = state.status == FUNDING ? VOID : CLOSED;
        state.filled = 0;
        // Every write of ours comes before the first transfer.
        _deals[deal.id].state = States.pack(state);
        if (state.status == VOID) {
            if (digest != deal.id || history.length != 0) revert BadHistory();
            Result memory none;
            emit DealClosed(deal.id, uint8(VOID), none);
            _payAll(terms.token, Settle.refund(terms, state.joined));
        } else {
            Settle.Context memory c =
                Settle.settle(terms, deal.terms.count, history, deal.id, digest, state.rung, _msgSender());
            for (uint8 i; i < c.kept.length; ++i) {
                if (c.kept[i] != 0) _keep(payouts[deal.id][i], terms.token, c, i);
            }
            emit DealClosed(deal.id, uint8(CLOSED), c.run.last);
            _payAll(terms.token, c.payments);
        }
    }

    /// @dev Whether the last window is over, or the top rung has its verdict or is silent.
    function _over(State memory state, Terms memory terms) private view returns (bool) {
        Rung memory rung = terms.rungs[state.rung];
        (bool decided, uint256 since) = _decided(state, rung);
        return decided && (state.rung + 1 == terms.rungs.length || block.timestamp >= since + rung.window);
    }

    function _keep(Payout storage payout, address token, Settle.Context memory c, uint256 pot) private {
        payout.root = c.run.last.root;
        payout.token = token;
        payout.end = uint64(block.timestamp + c.terms[pot]);
        payout.residual = c.residuals[pot];
        payout.left = uint128(c.kept[pot]);
    }

    /// @dev Payees of some tokens run code of their own, and may waste gas: transfers get so much in all, what comes
    /// after is credited, and the close fits one transaction.
    function _payAll(address token, Settle.Payments memory payments) private {
        uint256 start = gasleft();
        for (uint256 i; i < payments.count; ++i) {
            _pay(token, payments.to[i], payments.amounts[i], start - gasleft() < PAYING_GAS);
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
        deal.state = _stored(deal.id);
        deal.terms = Packed.start(terms);
    }

    function _running(bytes calldata deal_) private view returns (Found memory deal) {
        deal = _known(deal_);
        if (deal.state.status != RUNNING) revert NotRunning();
    }

    function _stored(bytes32 id) private view returns (State memory state) {
        uint256 packed = _deals[id].state;
        if (packed == 0) revert Unknown();
        return States.unpack(packed);
    }

    /// @dev The history's hash; it starts as the deal's id.
    function _history(bytes32 id) private view returns (bytes32 h) {
        h = _deals[id].history;
        if (h == 0) h = id;
    }

    /// @dev The current rung.
    function _rung(Found memory deal) private pure returns (Rung memory) {
        Packed.Reader memory r = deal.terms;
        r.spot += 10; // token, fundBy, wrongBonds
        return Packed.rung(r, deal.state.rung);
    }

    function _append(bytes32 id, bytes32 h, bytes32 head, bytes32 claim, bytes memory data) private returns (bytes32) {
        emit Recorded(id, head, claim, data);
        return History.append(h, head, keccak256(abi.encodePacked(claim, data)));
    }
}
