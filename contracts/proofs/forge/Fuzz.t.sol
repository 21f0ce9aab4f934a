// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ask, Entry, Result, Rung, SUBMISSION} from "../../src/interfaces/Types.sol";
import {Credits} from "../../src/Credits.sol";
import {Results} from "../../src/libraries/Results.sol";
import {Voices} from "../../src/libraries/Voices.sol";
import {CHALLENGER, Pot, Rule, Terms} from "../Words.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @title A token with ERC-3009 authorizations, as far as receiving goes
contract Authorized {
    mapping(address account => uint256) public balanceOf;
    mapping(address account => mapping(bytes32 nonce => bool)) private used;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function digest(address from, address to, uint256 value, uint256 start, uint256 end, bytes32 nonce)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(address(this), from, to, value, start, end, nonce));
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 start,
        uint256 end,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(to == msg.sender && block.timestamp > start && block.timestamp < end && !used[from][nonce]);
        require(ecrecover(digest(from, to, value, start, end, nonce), v, r, s) == from);
        used[from][nonce] = true;
        balanceOf[from] -= value;
        balanceOf[to] += value;
    }
}

/// @title Single acts over all inputs, to the ends of their types
contract FuzzTest is World {
    // --- what is read from others

    /// Every byte string is either refused or the one encoding of what was read.
    function test_a_result_has_one_encoding(bytes memory data) external pure {
        (bool ok, Result memory result) = Results.decode(data);
        require(!ok || keccak256(abi.encode(result)) == keccak256(data), "two encodings");
    }

    function test_every_result_is_read(uint8 outcome, uint128[] memory values, uint64[] memory steps, uint128 total)
        external
        pure
    {
        Result memory result = Result(outcome, values, new address[](steps.length), bytes32(uint256(total)), total);
        uint160 last;
        for (uint256 i; i < steps.length; ++i) {
            last += uint160(steps[i]) + 1;
            result.slashed[i] = address(last);
        }
        bytes memory data = abi.encode(result);
        (bool ok, Result memory found) = Results.decode(data);
        require(ok && keccak256(abi.encode(found)) == keccak256(data), "not read");
    }

    /// One flipped byte is never the same result.
    function test_a_changed_result_is_another(uint128[] memory values, uint256 place, uint8 flip) external pure {
        vm.assume(flip != 0);
        bytes memory data = abi.encode(Result(1, values, new address[](0), 0, 0));
        bytes32 before = keccak256(data);
        data[place % data.length] ^= bytes1(flip);
        (bool ok, Result memory found) = Results.decode(data);
        require(!ok || keccak256(abi.encode(found)) != before, "the same result from other bytes");
    }

    /// Whatever `tail` finds lies inside, and what it skips is zero: no bytes can hide.
    function test_padded_bytes_have_one_reading(bytes calldata data, uint8 start) external pure {
        (bool ok, bytes calldata found, uint256 end) = Voices.tail(data, start);
        if (!ok) return;
        require(end <= data.length && end >= uint256(start) + 32 + found.length, "outside");
        bytes memory again = abi.encodePacked(uint256(found.length), found);
        while (again.length % 32 != 0) again = abi.encodePacked(again, uint8(0));
        require(keccak256(again) == keccak256(data[start:end]), "another reading");
    }

    // --- money at the ends of its types

    /// A pot of any size, split by any weights or amounts, pays out to the last unit.
    function test_a_pot_is_paid_out_whole(uint128 amount, uint128[4] memory numbers, uint8 kind) external {
        vm.assume(amount != 0);
        Terms memory terms = _deal(amount);
        Rule memory rule = _rule(terms, 1, uint8(kind % 3), 4);
        uint256 sum;
        for (uint256 i; i < 4; ++i) {
            // So that weights sum to what the Book accepts.
            if (rule.kind == 1) numbers[i] /= 4;
            if (rule.kind == 1 && i == 0) numbers[i] += 1;
            rule.payees[i] = people[4 + i];
            if (rule.kind != 2) rule.numbers[i] = numbers[i];
            sum += numbers[i];
        }
        Result memory said;
        said.outcome = 1;
        if (rule.kind == 2) {
            said.values = new uint128[](4);
            for (uint256 i; i < 4; ++i) said.values[i] = numbers[i];
        }
        bytes32 id = _run(terms, said);
        _end(id);
        uint256 paid;
        for (uint256 i; i < 4; ++i) {
            uint256 got = _balance(address(moody), people[4 + i]) - 1e12;
            require(rule.kind == 1 ? got == uint256(amount) * numbers[i] / sum : got <= numbers[i], "another part");
            paid += got;
        }
        require(paid + _balance(address(moody), people[8]) - 1e12 == amount, "not the whole pot");
    }

    /// Challengers share at most half of what is forfeited, and nothing is made or lost, at any bond.
    function test_a_challenge_pays_out_whole(uint128 amount, uint128 bond, uint128 reward, bool right) external {
        vm.assume(amount > 1 && bond != 0);
        Terms memory terms = _deal(amount);
        _addRung(terms, bond);
        Rule memory rule = _rule(terms, 2, 0, 1);
        rule.payees[0] = CHALLENGER;
        rule.numbers[0] = reward % (amount / 2 + 1);
        Result memory said;
        said.outcome = 1;
        bytes32 id = _run(terms, said);
        moody.mint(people[2], bond);
        require(_challenge(people[2], id), "no challenge");
        entries.push(Entry(3, people[2], 0, 0, 0, uint64(block.timestamp), 0, ""));
        said.outcome = right ? 2 : 1;
        _answer(id, 1, people[4], said);
        _end(id);
        uint256 won = right ? uint256(rule.numbers[0]) + bond : 0;
        require(_balance(address(moody), people[2]) - 1e12 == won, "the challenger's part");
        require(_balance(address(moody), wrong) - 1e12 == (right ? 0 : bond), "the wrong bond");
        uint256 rest = amount - (right ? rule.numbers[0] : 0);
        require(_balance(address(moody), people[8]) - 1e12 == rest, "the residual");
    }

    /// Only the depositor's own act or signature moves its money, whoever calls.
    function test_join_moves_only_the_callers_money(address by, uint128 amount, bytes memory signature) external {
        vm.assume(by != people[0] && amount != 0 && by != address(0));
        Terms memory terms = _deal(amount);
        moody.mint(people[0], amount);
        (, bytes32 id) = _open(stranger, terms, 0);
        require(!_join(by, id, 0), "joined by another");
        require(!_consent(by, id, 0, type(uint64).max, signature), "joined by any signature");
        require(_balance(address(moody), people[0]) == 1e12 + uint256(amount), "money moved");
    }

    /// A permit lets its signer join in one act, and nobody else; it leaves no allowance behind.
    function test_a_permit_moves_only_the_callers_money(address by, uint128 amount, uint256 deadline, bytes32 r) external {
        vm.assume(by != people[0] && by != address(0) && amount != 0 && deadline >= block.timestamp);
        Credits token = new Credits(people[0], amount);
        Terms memory terms = _deal(amount);
        terms.token = address(token);
        (, bytes32 id) = _open(stranger, terms, 0);
        (uint8 v, bytes32 x, bytes32 s) = vm.sign(keys[people[0]], _permitDigest(token, amount, deadline));
        require(!_joinWithPermit(by, id, 0, deadline, v, x, s), "joined by another's permit");
        if (r != x) require(!_joinWithPermit(people[0], id, 0, deadline, v, r, s), "joined by a bad permit");
        require(token.balanceOf(people[0]) == amount, "money moved");
        require(_joinWithPermit(people[0], id, 0, deadline, v, x, s), "the permit was refused");
        require(token.balanceOf(address(book)) == amount && token.allowance(people[0], address(book)) == 0, "not exact");
    }

    function _permitDigest(Credits token, uint256 amount, uint256 deadline) private view returns (bytes32) {
        bytes32 permit = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 message = keccak256(abi.encode(permit, people[0], address(book), amount, 0, deadline));
        return keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), message));
    }

    /// An authorization pays for the one pot that its nonce names, whoever brings it, once.
    function test_an_authorization_pays_one_pot(address by, uint128 amount, bytes32 salt) external {
        vm.assume(by != address(0) && amount != 0 && salt != 0);
        Authorized token = new Authorized();
        token.mint(people[0], amount);
        token.mint(people[0], amount);
        Terms memory terms = _deal(amount);
        terms.token = address(token);
        (, bytes32 id) = _open(stranger, terms, 0);
        (, bytes32 other) = _open(stranger, terms, salt);
        bytes32 digest = token.digest(people[0], address(book), amount, 0, 2e9, keccak256(abi.encode(id, uint8(0))));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[people[0]], digest);
        require(!_joinWithAuthorization(by, other, 0, 2e9, v, r, s), "it paid for another deal");
        require(!_joinWithAuthorization(by, id, 0, 2e9 + 1, v, r, s), "it paid in another time");
        require(_joinWithAuthorization(by, id, 0, 2e9, v, r, s), "the authorization was refused");
        require(!_joinWithAuthorization(by, id, 0, 2e9, v, r, s), "it paid twice");
        require(token.balanceOf(address(book)) == amount && token.balanceOf(people[0]) == amount, "not exact");
    }

    /// A leaf pays its account its amount once; any other account, amount, index, pot or proof pays nothing.
    function test_a_leaf_is_exact(uint128 amount, uint256 index, bytes32 sibling, uint256 change, uint256 by) external {
        vm.assume(amount != 0 && by != 0);
        Terms memory terms = _deal(amount);
        _rule(terms, 1, 4, 0).term = 1000;
        bytes32 id = _open1(terms);
        bytes32 leaf = _leaf(id, 0, index, people[5], amount);
        Result memory said;
        said.outcome = 1;
        said.total = amount;
        said.root = leaf < sibling ? keccak256(abi.encode(leaf, sibling)) : keccak256(abi.encode(sibling, leaf));
        _answer(id, 0, people[1], said);
        _end(id);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = sibling;
        _onlyTheLeaf(id, index, amount, proof, change, by);
    }

    function _onlyTheLeaf(bytes32 id, uint256 index, uint128 amount, bytes32[] memory proof, uint256 change, uint256 by)
        private
    {
        uint256 what = change % 5;
        unchecked {
            address account = what == 0 ? address(uint160(people[5]) ^ uint160(by | 1)) : people[5];
            uint256 i = what == 1 ? index + by : index;
            uint128 more = what == 2 ? amount ^ uint128(by | 1) : amount;
            uint8 pot = what == 3 ? uint8(by | 1) : 0;
            if (what == 4) proof[0] ^= bytes32(by);
            require(!_collect(stranger, id, pot, i, account, more, proof), "another leaf was paid");
            if (what == 4) proof[0] ^= bytes32(by);
        }
        require(_collect(stranger, id, 0, index, people[5], amount, proof), "the leaf was not paid");
        require(!_collect(stranger, id, 0, index, people[5], amount, proof), "the leaf was paid twice");
        require(_balance(address(moody), people[5]) == 1e12 + uint256(amount), "another amount");
    }

    // --- one small deal: people[0] deposits, people[1] answers, people[8] gets the rest

    Entry[] private entries;

    function _deal(uint128 amount) private view returns (Terms memory terms) {
        terms.token = address(moody);
        terms.fundBy = uint64(block.timestamp + 1);
        terms.wrongBonds = wrong;
        terms.pots = new Pot[](1);
        terms.pots[0].name = "pot";
        terms.pots[0].depositor = people[0];
        terms.pots[0].amount = amount;
        terms.pots[0].residual = people[8];
        terms.rungs = new Rung[](1);
        terms.rungs[0] = _rung(people[1], 0);
    }

    function _rung(address who, uint8 silent) private view returns (Rung memory rung) {
        rung.policy = address(puppet);
        rung.codehash = address(puppet).codehash;
        rung.asks = new Ask[](1);
        rung.asks[0] = Ask("ask", new address[](1), 1, 1);
        rung.asks[0].who[0] = who;
        rung.verdictPeriod = 1;
        rung.silent = silent == 0 ? 3 : silent;
    }

    function _addRung(Terms memory terms, uint128 bond) private view {
        Rung[] memory rungs = new Rung[](2);
        rungs[0] = terms.rungs[0];
        rungs[0].window = 1;
        rungs[0].bond = bond;
        rungs[1] = _rung(people[4], 3);
        terms.rungs = rungs;
    }

    function _rule(Terms memory terms, uint8 outcome, uint8 kind, uint256 payees) private pure returns (Rule memory rule) {
        terms.pots[0].rules = new Rule[](1);
        rule = terms.pots[0].rules[0];
        rule.outcome = outcome;
        rule.kind = kind;
        rule.payees = new address[](payees);
        rule.numbers = new uint128[](kind < 2 ? payees : 0);
    }

    function _open1(Terms memory terms) private returns (bytes32 id) {
        bool ok;
        (ok, id) = _open(stranger, terms, 0);
        require(ok, "not opened");
        moody.mint(people[0], terms.pots[0].amount);
        require(_join(people[0], id, 0), "not joined");
    }

    function _run(Terms memory terms, Result memory said) private returns (bytes32 id) {
        id = _open1(terms);
        _answer(id, 0, people[1], said);
    }

    /// @dev The one that is asked answers, and its rung's puppet says the same.
    function _answer(bytes32 id, uint8 rung, address by, Result memory said) private {
        bytes memory answer = abi.encode(said);
        Entry memory what =
            Entry(SUBMISSION, by, rung, 0, 0, uint64(block.timestamp), 0, abi.encodePacked(uint8(0), answer));
        require(_submitAndJudge(by, id, entries, what), "no verdict");
        entries.push(what);
        entries.push(Entry(2, by, rung, 0, 0, uint64(block.timestamp), 0, answer));
    }

    function _end(bytes32 id) private {
        vm.warp(block.timestamp + 10);
        require(_close(stranger, id, entries), "not closed");
    }
}
