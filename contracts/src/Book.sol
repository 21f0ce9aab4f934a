// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IBook} from "./interfaces/IBook.sol";
import {IPolicy} from "./interfaces/IPolicy.sol";
import {CHALLENGE, Entry, Head, Pot, Result, Rule, Rung, SUBMISSION, Terms, VERDICT} from "./interfaces/Types.sol";
import {Calls} from "./libraries/Calls.sol";
import {Results} from "./libraries/Results.sol";
import {Settle} from "./libraries/Settle.sol";
import {Shape} from "./libraries/Shape.sol";
import {TermsLib} from "./libraries/TermsLib.sol";

/// @title The Book of deals (docs/reference/deals.md; "section" below means a section of that page)
/// @notice Holds the deposits and bonds of every deal. A deal stores only the hash of its terms and of its history;
/// acts bring what they need of either. To stop the Book, its owner calls `stop(true)`: no deal can then be opened or
/// joined, and every deal that exists runs on, closes and pays.
contract Book is IBook, EIP712, ERC2771Context, ReentrancyGuardTransient {
    uint8 private constant FUNDING = 1;
    uint8 private constant RUNNING = 2;
    uint8 private constant CLOSED = 3;
    uint8 private constant VOID = 4;

    uint256 private constant MAX_DATA = 4_096;
    uint256 private constant MAX_ANSWER = 8_192;
    uint256 private constant MAX_LIST = 64; // values of a result, and slashed
    uint256 private constant PAYING_GAS = 3_800_000; // for the transfers of one close
    bytes32 private constant JOIN =
        keccak256("Join(bytes32 deal,uint8 pot,address token,uint128 amount,uint64 expiry)");

    struct Deal {
        bytes32 terms; // section 1: the terms' hash; zero: no such deal
        bytes32 history; // section 4: the hash of all entries
        uint256 filled; // of the current ask: bit (account × slots + slot)
        // One slot:
        uint8 status;
        uint8 missing; // pots that have still to join
        uint8 rung; // the current one
        uint8 ask; // the current one, or the number of asks once all are over (as last stored)
        uint64 start; // of that ask, or the freeze
        uint64 judgedAt; // when the current rung's verdict was recorded, or 0
        uint32 joined; // bit by pot
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
    bool public stopped;
    mapping(bytes32 deal => Deal) public deals;
    mapping(bytes32 deal => mapping(uint8 pot => Payout)) private payouts;
    /// @inheritdoc IBook
    mapping(address token => mapping(address account => uint256)) public credit;

    constructor(address owner_, address forwarder) EIP712("Troth", "1") ERC2771Context(forwarder) {
        owner = owner_;
    }

    // --- section 2: open

    /// @inheritdoc IBook
    function open(Terms calldata terms, bytes32 salt) external nonReentrant returns (bytes32 id) {
        if (stopped) revert Stopped();
        uint8 missing = Shape.check(terms);
        if (terms.token.code.length == 0) revert BadToken();
        for (uint256 r; r < terms.rungs.length; ++r) _accepts(terms.rungs[r]);
        bytes32 hash = TermsLib.hash(terms);
        id = keccak256(abi.encode(block.chainid, address(this), _msgSender(), salt, hash));
        Deal storage deal = deals[id];
        if (deal.status != 0) revert Exists();
        deal.terms = hash;
        deal.history = id;
        deal.status = FUNDING;
        deal.missing = missing;
        emit DealOpened(id, _msgSender(), salt, terms);
    }

    function _accepts(Rung calldata rung) private view {
        address policy = rung.policy;
        if (policy.code.length == 0 || policy.codehash != rung.codehash) revert BadPolicy();
        (bool ok, bytes memory answer) =
            Calls.ask(policy, Calls.POLICY_GAS, abi.encodeCall(IPolicy.accepts, (rung)), 32);
        if (!ok || answer.length != 32 || uint256(bytes32(answer)) != 1) revert BadPolicy();
    }

    // --- section 3: join

    /// @inheritdoc IBook
    function join(bytes32 id, uint8 index, Head calldata head, Pot calldata pot) external nonReentrant {
        Deal storage deal = _joinable(id, index, head, pot);
        // A fee pot's depositor is a role address, so no caller passes for it.
        if (pot.depositor != _msgSender()) revert NotDepositor();
        _join(id, deal, index, head.token, pot);
    }

    /// @inheritdoc IBook
    function joinWithConsent(
        bytes32 id,
        uint8 index,
        Head calldata head,
        Pot calldata pot,
        uint64 expiry,
        bytes calldata signature
    ) external nonReentrant {
        Deal storage deal = _joinable(id, index, head, pot);
        if (TermsLib.isRole(pot.depositor)) revert NotDepositor();
        // Consumed once, since a pot joins once.
        if (deal.joined & (1 << index) != 0) revert Joined();
        if (block.timestamp > expiry) revert BadConsent();
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(JOIN, id, index, head.token, pot.amount, expiry)));
        if (!SignatureChecker.isValidSignatureNowCalldata(pot.depositor, digest, signature)) revert BadConsent();
        _join(id, deal, index, head.token, pot);
    }

    function _joinable(bytes32 id, uint8 index, Head calldata head, Pot calldata pot)
        private
        view
        returns (Deal storage deal)
    {
        deal = _known(id);
        if (stopped) revert Stopped();
        if (TermsLib.hash(head) != deal.terms) revert BadTerms();
        if (index >= head.pots.length || head.pots[index] != keccak256(abi.encode(pot))) revert BadTerms();
        if (deal.status != FUNDING) revert NotFunding();
        if (block.timestamp >= head.fundBy) revert TooLate();
    }

    function _join(bytes32 id, Deal storage deal, uint8 index, address token, Pot calldata pot) private {
        if (deal.joined & (1 << index) != 0) revert Joined();
        deal.joined |= uint32(1) << index;
        uint64 started;
        if (--deal.missing == 0) {
            started = uint64(block.timestamp);
            deal.status = RUNNING;
            deal.start = started;
        }
        emit PotJoined(id, index, started);
        if (!Calls.take(token, pot.depositor, pot.amount)) revert TransferFailed();
    }

    // --- section 4: asks and submissions

    /// @inheritdoc IBook
    function submit(
        bytes32 id,
        Head calldata head,
        Rung calldata rung,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external nonReentrant {
        Deal storage deal = _known(id);
        if (TermsLib.hash(head) != deal.terms) revert BadTerms();
        // A deal that does not run is told so whatever rung comes with it.
        if (deal.status != RUNNING) revert NotRunning();
        if (head.rungs[deal.rung] != keccak256(abi.encode(rung))) revert BadTerms();
        _record(id, deal, _submission(deal, rung, ask, slot, claim, data));
    }

    /// @inheritdoc IBook
    function submitAndJudge(
        bytes32 id,
        Terms calldata terms,
        Entry[] calldata history,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) external nonReentrant {
        Deal storage deal = _running(id, terms);
        Entry[] memory all = new Entry[](history.length + 1);
        for (uint256 i; i < history.length; ++i) all[i] = history[i];
        all[history.length] = _submission(deal, terms.rungs[deal.rung], ask, slot, claim, data);
        _record(id, deal, all[history.length]);
        _judge(id, deal, terms, all);
    }

    /// @dev Checks a submission, fills its seat, and moves to the next ask when it was the last seat.
    function _submission(
        Deal storage deal,
        Rung calldata rung,
        uint8 ask,
        uint8 slot,
        bytes32 claim,
        bytes calldata data
    ) private returns (Entry memory) {
        if (data.length > MAX_DATA) revert TooLong();
        (uint256 current, uint256 start) = _roll(deal, rung);
        bool frozen = current == rung.asks.length;
        if (!frozen && ask > current) revert TooEarly();
        if (frozen || ask < current) revert TooLate();
        uint256 filled = _fill(rung, ask, slot, ask == deal.ask ? deal.filled : 0);
        if (filled == 0) {
            ++current;
            start = block.timestamp;
        }
        if (deal.filled != filled) deal.filled = filled;
        deal.ask = uint8(current);
        deal.start = uint64(start);
        return Entry(SUBMISSION, _msgSender(), deal.rung, ask, slot, uint64(block.timestamp), claim, data);
    }

    /// @dev The ask's seats with the caller's filled, or 0 once all are: the next ask starts empty.
    function _fill(Rung calldata rung, uint8 ask, uint8 slot, uint256 filled) private view returns (uint256) {
        address[] calldata who = TermsLib.asked(rung, ask);
        uint256 place = TermsLib.place(who, _msgSender());
        if (place == type(uint256).max) revert NotNamed();
        uint256 slots = rung.asks[ask].slots;
        if (slot >= slots) revert BadSlot();
        uint256 seat = 1 << (place * slots + slot);
        if (filled & seat != 0) revert Duplicate();
        filled |= seat;
        return filled == (1 << (who.length * slots)) - 1 ? 0 : filled;
    }

    /// @dev The ask that runs now and when it started; past the last ask: their number and the freeze.
    function _roll(Deal storage deal, Rung calldata rung) private view returns (uint256 ask, uint256 start) {
        ask = deal.ask;
        start = deal.start;
        while (ask < rung.asks.length && block.timestamp >= start + rung.asks[ask].period) {
            start += rung.asks[ask++].period;
        }
    }

    // --- section 5: judge

    /// @inheritdoc IBook
    function judge(bytes32 id, Terms calldata terms, Entry[] calldata history) external nonReentrant {
        _judge(id, _running(id, terms), terms, history);
    }

    function _judge(bytes32 id, Deal storage deal, Terms calldata terms, Entry[] memory history) private {
        if (TermsLib.hash(id, history) != deal.history) revert BadHistory();
        uint8 r = deal.rung;
        Rung calldata rung = terms.rungs[r];
        (uint256 ask, uint256 frozenAt) = _roll(deal, rung);
        if (ask < rung.asks.length) revert TooEarly();
        if (deal.judgedAt != 0) revert Judged();
        if (block.timestamp >= frozenAt + rung.verdictPeriod) revert TooLate();
        bytes memory answer =
            _verdict(rung, abi.encodeCall(IPolicy.judge, (id, r, rung, uint64(frozenAt), history)));
        _check(terms, r, answer);
        deal.judgedAt = uint64(block.timestamp);
        _record(id, deal, Entry(VERDICT, _msgSender(), r, 0, 0, uint64(block.timestamp), 0, answer));
    }

    /// @dev What the policy answers. Its `bytes` is read by hand: nothing it returns can make this decode revert.
    function _verdict(Rung calldata rung, bytes memory input) private view returns (bytes memory answer) {
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

    function _check(Terms calldata terms, uint256 r, bytes memory answer) private pure {
        (bool ok, Result memory result) = Results.decode(answer);
        if (!ok || result.outcome == 0 || (result.root == 0) != (result.total == 0)) revert BadResult();
        if (result.values.length > MAX_LIST || result.slashed.length > MAX_LIST) revert BadResult();
        for (uint256 i; i < result.slashed.length; ++i) {
            address account = result.slashed[i];
            // Who is yet to judge has done nothing, and benches do not count in comparisons: nobody could object.
            if (
                TermsLib.onBench(terms, r + 1, account)
                    || (!TermsLib.onBench(terms, 1, account) && !TermsLib.deposits(terms, account))
            ) revert BadResult();
        }
        for (uint256 i; i < terms.pots.length; ++i) {
            Rule[] calldata rules = terms.pots[i].rules;
            for (uint256 j; j < rules.length; ++j) {
                if (rules[j].kind == 4 && rules[j].outcome == result.outcome && result.total > terms.pots[i].amount) {
                    revert BadResult();
                }
            }
        }
    }

    // --- section 7: challenge

    /// @inheritdoc IBook
    function challenge(bytes32 id, Terms calldata terms) external nonReentrant {
        Deal storage deal = _running(id, terms);
        uint8 r = deal.rung;
        if (r + 1 == terms.rungs.length) revert TopRung();
        Rung calldata rung = terms.rungs[r];
        (bool decided, uint256 since) = _decided(deal, rung);
        if (!decided) revert TooEarly();
        if (block.timestamp >= since + rung.window) revert TooLate();
        address caller = _msgSender();
        if (TermsLib.onBench(terms, r + 1, caller)) revert BenchMember();
        if (caller == terms.wrongBonds) revert WrongBonds();
        uint256 amount = rung.bond;
        for (uint256 i; i < terms.pots.length; ++i) {
            if (TermsLib.feeRung(terms.pots[i].depositor, terms.rungs.length) == r + 1) {
                amount += terms.pots[i].amount;
            }
        }
        deal.rung = r + 1;
        deal.ask = 0;
        deal.start = uint64(block.timestamp);
        deal.judgedAt = 0;
        if (deal.filled != 0) deal.filled = 0;
        _record(id, deal, Entry(CHALLENGE, caller, r, 0, 0, uint64(block.timestamp), 0, ""));
        if (!Calls.take(terms.token, caller, amount)) revert TransferFailed();
    }

    /// @dev Whether the current rung has its verdict or is silent, and since when.
    function _decided(Deal storage deal, Rung calldata rung) private view returns (bool, uint256 since) {
        since = deal.judgedAt;
        if (since != 0) return (true, since);
        uint256 ask;
        (ask, since) = _roll(deal, rung);
        since += rung.verdictPeriod;
        return (ask == rung.asks.length && block.timestamp >= since, since);
    }

    // --- section 8: close

    /// @inheritdoc IBook
    function close(bytes32 id, Terms calldata terms, Entry[] calldata history) external nonReentrant {
        Deal storage deal = _termsOf(id, terms);
        uint8 status = deal.status;
        if (status > RUNNING) revert Closed();
        if (status == FUNDING ? block.timestamp < terms.fundBy : !_over(deal, terms)) revert NotYet();
        Entry[] memory entries = history;
        if (TermsLib.hash(id, entries) != deal.history) revert BadHistory();
        // Every write of ours comes before the first transfer.
        deal.filled = 0;
        if (status == FUNDING) {
            deal.status = VOID;
            Result memory none;
            emit DealClosed(id, VOID, none);
            _payAll(terms.token, Settle.refund(terms, deal.joined));
        } else {
            deal.status = CLOSED;
            Settle.Context memory c = Settle.settle(terms, entries, deal.rung, _msgSender());
            for (uint8 i; i < c.kept.length; ++i) if (c.kept[i] != 0) _keep(payouts[id][i], terms.token, c, i);
            emit DealClosed(id, CLOSED, c.run.last);
            _payAll(terms.token, c.payments);
        }
    }

    /// @dev Whether the last window is over, or the top rung has its verdict or is silent.
    function _over(Deal storage deal, Terms calldata terms) private view returns (bool) {
        Rung calldata rung = terms.rungs[deal.rung];
        (bool decided, uint256 since) = _decided(deal, rung);
        return decided && (deal.rung + 1 == terms.rungs.length || block.timestamp >= since + rung.window);
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
        _known(id);
        Payout storage payout = payouts[id][pot];
        if (payout.root == 0) revert NoRoot();
        if (block.timestamp >= payout.end) revert TooLate();
        uint256 bit = 1 << (index & 0xff);
        if (payout.collected[index >> 8] & bit != 0) revert Collected();
        // Hashed twice, so that no inner node passes for a leaf.
        bytes32 leaf = keccak256(
            abi.encode(keccak256(abi.encode(block.chainid, address(this), id, pot, index, account, amount)))
        );
        if (!MerkleProof.verifyCalldata(proof, payout.root, leaf)) revert BadProof();
        if (amount > payout.left) revert OverTotal();
        payout.collected[index >> 8] |= bit;
        payout.left -= amount;
        emit LeafCollected(id, pot, index, account, amount);
        _pay(payout.token, account, amount, true);
    }

    /// @inheritdoc IBook
    function sweep(bytes32 id, uint8 pot) external nonReentrant {
        _known(id);
        Payout storage payout = payouts[id][pot];
        if (payout.root == 0) revert NoRoot();
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

    // --- section 10: stop

    /// @inheritdoc IBook
    function stop(bool stopped_) external {
        if (_msgSender() != owner) revert NotOwner();
        stopped = stopped_;
        emit StopSet(stopped_);
    }

    // --- shared

    function _known(bytes32 id) private view returns (Deal storage deal) {
        deal = deals[id];
        if (deal.status == 0) revert Unknown();
    }

    function _termsOf(bytes32 id, Terms calldata terms) private view returns (Deal storage deal) {
        deal = _known(id);
        if (TermsLib.hash(terms) != deal.terms) revert BadTerms();
    }

    function _running(bytes32 id, Terms calldata terms) private view returns (Deal storage deal) {
        deal = _termsOf(id, terms);
        if (deal.status != RUNNING) revert NotRunning();
    }

    function _record(bytes32 id, Deal storage deal, Entry memory entry) private {
        deal.history = TermsLib.append(deal.history, entry);
        emit Recorded(id, entry);
    }
}
