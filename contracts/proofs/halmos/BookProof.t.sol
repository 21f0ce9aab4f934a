// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ask, Entry, Result, Rung, SUBMISSION} from "../../src/interfaces/Types.sol";
import {Desk} from "../Desk.sol";
import {Pot, Rule, Terms} from "../Words.sol";
import {BOOK_CODE, vm} from "../forge/Vm.sol";
import {PlainToken, Says, svm} from "./Parts.sol";

/// @title What Halmos proves of the shipped Book, for all values of the arguments (docs/reference/proofs.md)
contract BookProof is Desk {
    address private constant FORWARDER = address(0xF0F0F0);
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B00);
    address private constant CAROL = address(0xCA201);
    address private constant WRONG = address(0xBAD000);

    PlainToken private token;
    Says private policy;

    function setUp() public {
        _deploy(vm.getCode(BOOK_CODE), address(0x0123456), FORWARDER);
        token = new PlainToken(address(book));
        policy = new Says();
        vm.warp(1_800_000_000);
    }

    // --- from any state whatever

    /// The caller's whole credit moves to the caller, and nothing else moves.
    function check_withdraw_pays_the_caller_its_credit(address by, address other) public {
        vm.assume(by != FORWARDER && by != address(book) && other != by && other != address(book));
        svm.enableSymbolicStorage(address(book));
        svm.enableSymbolicStorage(address(token));
        uint256 amount = _credit(address(token), by);
        uint256 others = _credit(address(token), other);
        uint256 held = token.balanceOf(address(book));
        uint256 had = token.balanceOf(by);
        uint256 has = token.balanceOf(other);
        bool ok = _withdraw(by, address(token));
        assert(_credit(address(token), other) == others && token.balanceOf(other) == has);
        if (ok) {
            assert(amount != 0 && _credit(address(token), by) == 0);
            assert(token.balanceOf(address(book)) == held - amount);
            unchecked {
                assert(token.balanceOf(by) == had + amount);
            }
        } else {
            assert(_credit(address(token), by) == amount);
            assert(token.balanceOf(address(book)) == held && token.balanceOf(by) == had);
        }
    }

    /// A leaf that is collected pays its account (in tokens or credit) exactly its amount, out of the Book, once. From
    /// any state whatever, the pot may be one of another token: then nothing of this one moves.
    function check_collect_pays_one_leaf_once(
        address by,
        bytes32 id,
        uint8 pot,
        uint256 index,
        address account,
        uint128 amount,
        bytes32 sibling,
        address other
    ) public {
        vm.assume(account != address(book) && other != account && other != address(book));
        svm.enableSymbolicStorage(address(book));
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = sibling;
        Purse memory then_ = _purse(account, other);
        bool ok = _collect(by, id, pot, index, account, amount, proof);
        _paid(then_, _purse(account, other), ok ? amount : 0, ok);
        if (ok) assert(!_collect(by, id, pot, index, account, amount, proof));
    }

    /// What is swept goes to one account, once.
    function check_sweep_pays_once(address by, bytes32 id, uint8 pot) public {
        svm.enableSymbolicStorage(address(book));
        uint256 held = token.balanceOf(address(book));
        bool ok = _sweep(by, id, pot);
        if (!ok) assert(token.balanceOf(address(book)) == held);
        else assert(!_sweep(by, id, pot));
    }

    /// What an account has, with the Book and outside.
    struct Purse {
        uint256 book;
        uint256 mine;
        uint256 credit;
        uint256 others;
        uint256 othersCredit;
    }

    function _purse(address account, address other) private view returns (Purse memory purse) {
        purse.book = token.balanceOf(address(book));
        purse.mine = token.balanceOf(account);
        purse.credit = _credit(address(token), account);
        purse.others = token.balanceOf(other);
        purse.othersCredit = _credit(address(token), other);
    }

    /// @dev `amount` went from the Book to the account, or became its credit; whoever else there is has what it had.
    function _paid(Purse memory then_, Purse memory now_, uint256 amount, bool orNothing) private pure {
        assert(now_.others == then_.others && now_.othersCredit == then_.othersCredit);
        unchecked {
            uint256 left = then_.book - now_.book;
            uint256 credited = now_.credit - then_.credit;
            assert(left <= then_.book && (left == 0 || credited == 0));
            assert(left + credited == amount || (orNothing && left + credited == 0));
            assert(now_.mine - then_.mine == left);
        }
    }

    // --- join, from a deal opened with these terms

    /// Only the depositor's own call moves its money: the pot's amount, into the Book; everybody else keeps theirs.
    function check_join_takes_the_callers_own_pot(
        address by,
        uint128 amount,
        uint128 has,
        uint64 later,
        address other
    ) public {
        vm.assume(by != FORWARDER && other != ALICE && other != address(book) && later < 1000);
        Terms memory terms = _terms(ALICE, _large(amount));
        (bool opened, bytes32 id) = _open(CAROL, terms, 0);
        vm.assume(opened);
        token.mint(ALICE, has);
        vm.warp(block.timestamp + later);
        Purse memory then_ = _purse(ALICE, other);
        bool ok = _join(by, id, 0);
        _taken(then_, _purse(ALICE, other), ok ? amount : 0);
        assert(ok == (by == ALICE && has >= amount && block.timestamp < terms.fundBy));
        if (ok) assert(!_join(by, id, 0));
    }

    /// Whoever brings a consent, it is the depositor's signature over this deal, pot, token, amount and expiry.
    function check_consent_is_the_depositors_signature(
        address by,
        uint128 amount,
        uint64 expiry,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) public {
        Terms memory terms = _terms(ALICE, _large(amount));
        (bool opened, bytes32 id) = _open(CAROL, terms, 0);
        vm.assume(opened);
        token.mint(ALICE, amount);
        Purse memory then_ = _purse(ALICE, BOB);
        bool ok = _consent(by, id, 0, expiry, abi.encodePacked(r, s, v));
        _taken(then_, _purse(ALICE, BOB), ok ? amount : 0);
        if (!ok) return;
        assert(block.timestamp <= expiry);
        assert(ecrecover(_consentDigest(id, 0, address(token), amount, expiry), v, r, s) == ALICE);
    }

    /// @dev `amount` went from the account into the Book.
    function _taken(Purse memory then_, Purse memory now_, uint256 amount) private pure {
        assert(now_.others == then_.others && now_.othersCredit == then_.othersCredit && now_.credit == then_.credit);
        assert(now_.book == then_.book + amount && now_.mine + amount == then_.mine);
    }

    // --- close, of small shapes

    /// A deal nobody finished funding gives back what was joined, to who joined it.
    function check_void_deal_refunds(uint128 amount, uint128 more, address by) public {
        vm.assume(by != FORWARDER);
        Terms memory terms = _terms(ALICE, _large(amount));
        terms.pots = _two(terms.pots[0], BOB, _large(more));
        (bool opened, bytes32 id) = _open(CAROL, terms, 0);
        vm.assume(opened);
        token.mint(ALICE, amount);
        vm.assume(_join(ALICE, id, 0));
        assert(!_close(by, id, new Entry[](0)));
        vm.warp(terms.fundBy);
        bool ok = _close(by, id, new Entry[](0));
        if (!ok) return;
        assert(_worth(ALICE) == amount && token.balanceOf(address(book)) == _credit(address(token), ALICE));
        assert(!_close(by, id, new Entry[](0)));
    }

    /// One rung and one pot, paid by an amount of the terms: what goes out is what came in.
    function check_close_pays_amounts_whole(uint128 amount, uint128 part, uint8 outcome) public {
        vm.assume(outcome != 0);
        Terms memory terms = _terms(ALICE, _large(amount));
        Rule memory rule = _rule(terms.pots[0], 0, 1);
        (rule.payees[0], rule.numbers[0]) = (BOB, _large(part));
        Result memory said;
        said.outcome = outcome;
        _endsWith(terms, said, outcome == 1 ? part : 0);
    }

    /// The same, paid by a value of the verdict.
    function check_close_pays_values_whole(uint128 amount, uint128 part, uint8 outcome) public {
        vm.assume(outcome != 0);
        Terms memory terms = _terms(ALICE, _large(amount));
        _rule(terms.pots[0], 2, 1).payees[0] = BOB;
        Result memory said;
        said.outcome = outcome;
        said.values = new uint128[](1);
        said.values[0] = part;
        _endsWith(terms, said, outcome == 1 ? part : 0);
    }

    /// @dev BOB got `part`, or the pot if that is less; the rest went to the residual, and the Book has no more.
    function _endsWith(Terms memory terms, Result memory said, uint256 part) private {
        _ends(terms, said, CAROL);
        uint256 amount = terms.pots[0].amount;
        if (part > amount) part = amount;
        assert(_worth(BOB) == part && _worth(ALICE) == amount - part);
        uint256 credits = _credit(address(token), ALICE) + _credit(address(token), BOB);
        assert(token.balanceOf(address(book)) == credits);
    }

    /// A verdict once recorded is the rung's last, whoever asks again and whatever the policy would now say.
    function check_no_second_verdict(address by, uint8 outcome, uint32 later) public {
        vm.assume(by != FORWARDER);
        Terms memory terms = _terms(ALICE, 7);
        Result memory said;
        said.outcome = 1;
        (bytes32 id, Entry[] memory history) = _judged(terms, said);
        bytes32 before = _seen(id).history;
        said.outcome = outcome;
        policy.say(abi.encode(said));
        vm.warp(block.timestamp + later);
        assert(!_judge(by, id, history));
        assert(_seen(id).history == before);
    }

    /// A pot under a root keeps at most the pot, and the rest goes to the residual.
    function check_close_keeps_no_more_than_the_pot(uint128 amount, uint128 total, bytes32 root, address by) public {
        vm.assume(root != 0 && total != 0 && by != FORWARDER && by != address(book));
        Terms memory terms = _terms(ALICE, _large(amount));
        _rule(terms.pots[0], 4, 0).term = 100;
        Result memory said;
        (said.outcome, said.root, said.total) = (1, root, total);
        _ends(terms, said, by);
        assert(total <= amount && _worth(ALICE) == amount - total);
        assert(token.balanceOf(address(book)) == total + _credit(address(token), ALICE));
    }

    /// @dev An amount of 16 bytes. Terms write an amount in as many bytes as it has, and each length is another path.
    function _large(uint128 amount) private pure returns (uint128) {
        vm.assume(amount >> 120 != 0);
        return amount;
    }

    // --- one small deal: a depositor, BOB is asked, the depositor gets the rest

    function _terms(address depositor, uint128 amount) private view returns (Terms memory terms) {
        terms.token = address(token);
        terms.fundBy = uint64(block.timestamp + 100);
        terms.wrongBonds = WRONG;
        terms.pots = new Pot[](1);
        terms.pots[0] = Pot("pot", depositor, amount, depositor, new Rule[](0));
        terms.rungs = new Rung[](1);
        Rung memory rung = terms.rungs[0];
        rung.policy = address(policy);
        rung.codehash = address(policy).codehash;
        rung.asks = new Ask[](1);
        rung.asks[0] = Ask("ask", new address[](1), 10, 1);
        rung.asks[0].who[0] = BOB;
        rung.verdictPeriod = 10;
        rung.silent = 3;
    }

    function _two(Pot memory one, address depositor, uint128 amount) private pure returns (Pot[] memory pots) {
        pots = new Pot[](2);
        pots[0] = one;
        pots[1] = Pot("more", depositor, amount, depositor, new Rule[](0));
    }

    /// @dev A rule for outcome 1.
    function _rule(Pot memory pot, uint8 kind, uint256 payees) private pure returns (Rule memory rule) {
        pot.rules = new Rule[](1);
        rule = pot.rules[0];
        (rule.outcome, rule.kind) = (1, kind);
        rule.payees = new address[](payees);
        if (kind < 2) rule.numbers = new uint128[](payees);
    }

    /// @dev Opens, joins, answers and judges; assumes away what is refused for want of gas or of sense.
    function _judged(Terms memory terms, Result memory said) private returns (bytes32 id, Entry[] memory history) {
        bool ok;
        (ok, id) = _open(CAROL, terms, 0);
        vm.assume(ok);
        token.mint(ALICE, terms.pots[0].amount);
        vm.assume(_join(ALICE, id, 0));
        bytes memory answer = abi.encode(said);
        policy.say(answer);
        history = new Entry[](2);
        history[0] = Entry(SUBMISSION, BOB, 0, 0, 0, uint64(block.timestamp), 0, "");
        history[1] = Entry(2, BOB, 0, 0, 0, uint64(block.timestamp), 0, answer);
        vm.assume(_submitAndJudge(BOB, id, new Entry[](0), history[0]));
    }

    function _ends(Terms memory terms, Result memory said, address by) private {
        (bytes32 id, Entry[] memory history) = _judged(terms, said);
        vm.assume(_close(by, id, history));
        assert(!_close(by, id, history));
    }

    /// @dev In tokens and in credit.
    function _worth(address account) private view returns (uint256) {
        return token.balanceOf(account) + _credit(address(token), account);
    }
}
