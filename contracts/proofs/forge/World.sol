// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ask, CLIMBER, LAST_ROLE, Result, Rung} from "../../src/interfaces/Types.sol";
import {Assumed} from "../../src/policies/Assumed.sol";
import {Garbler, Puppet} from "../../test/Puppet.sol";
import {HostileToken, MoodyToken} from "../../test/Tokens.sol";
import {Desk} from "../Desk.sol";
import {CHALLENGER, DEPOSITOR, KEEPER, Pot, Rule, Terms} from "../Words.sol";
import {BOOK_CODE, Dice, vm} from "./Vm.sol";

/// @title Who and what the handler acts with, and terms drawn from a seed
/// @dev Every drawn term is one that the Book opens: the handler asserts it.
abstract contract World is Desk {
    using Dice for Dice.Rand;

    uint256 internal constant PARTIES = 4; // the first accounts: depositors, claimants, challengers
    uint256 internal constant PEOPLE = 11;

    address internal owner;
    address internal stranger;
    address internal wrong; // gets wrong bonds
    address[] internal people; // 0-3 parties, 4-5 bench of rung 1, 6-7 of rung 2, 8 a payee, 9 stranger, 10 wrong
    mapping(address account => uint256) internal keys;
    MoodyToken internal moody;
    HostileToken internal hostile;
    Puppet internal puppet;
    Assumed internal assumed;
    Garbler[5] internal garblers;

    constructor() {
        owner = vm.addr(0xB05);
        _deploy(vm.getCode(BOOK_CODE), owner, vm.addr(0xF0));
        moody = new MoodyToken();
        hostile = new HostileToken();
        puppet = new Puppet(1);
        assumed = new Assumed(0);
        for (uint256 i; i < 5; ++i) garblers[i] = new Garbler(i);
        for (uint256 i; i < PEOPLE; ++i) {
            address account = vm.addr(0xA0 + i);
            people.push(account);
            keys[account] = 0xA0 + i;
            moody.mint(account, 1e12);
            hostile.mint(account, 1e12);
            // Everybody has approved the Book for everything: what it may take is for the Book alone to refuse.
            vm.prank(account);
            moody.approve(address(book), type(uint256).max);
            vm.prank(account);
            hostile.approve(address(book), type(uint256).max);
        }
        stranger = people[9];
        wrong = people[10];
        vm.warp(1_800_000_000);
    }

    function _balance(address token, address account) internal view returns (uint256) {
        return MoodyToken(token).balanceOf(account);
    }

    function _token(uint256 i) internal view returns (address) {
        return i == 0 ? address(moody) : address(hostile);
    }

    // --- terms

    function _drawTerms(Dice.Rand memory rand) internal view returns (Terms memory terms) {
        terms.token = _token(rand.roll(2));
        terms.fundBy = uint64(block.timestamp + 1 + rand.roll(200));
        terms.wrongBonds = wrong;
        terms.rungs = new Rung[](1 + rand.roll(3));
        uint128 bond;
        for (uint256 r; r < terms.rungs.length; ++r) {
            bool top = r + 1 == terms.rungs.length;
            bond = top ? 0 : 2 * bond + 1 + uint128(rand.roll(50));
            terms.rungs[r] = _drawRung(rand, r, top, bond);
        }
        _drawPots(rand, terms);
    }

    function _drawRung(Dice.Rand memory rand, uint256 r, bool top, uint128 bond)
        private
        view
        returns (Rung memory rung)
    {
        rung.asks = new Ask[](1 + rand.roll(2));
        for (uint256 a; a < rung.asks.length; ++a) {
            Ask memory ask = rung.asks[a];
            ask.kind = "ask";
            ask.period = uint32(50 + rand.roll(500));
            ask.slots = uint8(1 + rand.roll(2));
            bool last = a + 1 == rung.asks.length;
            if (r == 0) ask.who = a == 0 ? _drawParties(rand) : new address[](0);
            else if (last) ask.who = _bench(r);
            else ask.who = rand.hit(2) ? _bench(r) : _drawParties(rand);
        }
        rung.policy = address(puppet);
        if (r == 0 && rung.asks[0].who.length == 1 && rand.hit(4)) rung.policy = address(assumed);
        else if (rand.hit(12)) rung.policy = address(garblers[rand.roll(5)]);
        rung.codehash = rung.policy.codehash;
        rung.verdictPeriod = uint32(20 + rand.roll(300));
        rung.window = top ? 0 : uint32(20 + rand.roll(300));
        rung.bond = bond;
        rung.silent = uint8(r == 0 ? 1 + rand.roll(3) : rand.roll(3));
    }

    function _bench(uint256 r) private view returns (address[] memory bench) {
        bench = new address[](2);
        bench[0] = people[2 + 2 * r];
        bench[1] = people[3 + 2 * r];
    }

    function _drawParties(Dice.Rand memory rand) private view returns (address[] memory who) {
        who = new address[](1 + rand.roll(2));
        uint256 first = rand.roll(PARTIES);
        for (uint256 i; i < who.length; ++i) who[i] = people[(first + i) % PARTIES];
    }

    function _drawPots(Dice.Rand memory rand, Terms memory terms) private view {
        uint256 plain = 1 + rand.roll(3);
        uint256 fees = rand.roll(terms.rungs.length);
        terms.pots = new Pot[](plain + fees);
        for (uint256 i; i < terms.pots.length; ++i) {
            Pot memory pot = terms.pots[i];
            bool fee = i >= plain;
            pot.name = bytes32(bytes1(uint8(97 + i)));
            if (fee) pot.depositor = address(CLIMBER + uint160(1 + i - plain));
            else pot.depositor = people[rand.roll(rand.hit(6) ? PARTIES + 4 : PARTIES)];
            pot.amount = uint128(1 + rand.roll(rand.hit(8) ? 3 : 1000));
            uint256 who = rand.roll(4);
            pot.residual = who == 0 ? KEEPER : who == 1 ? DEPOSITOR : people[rand.roll(PARTIES)];
            _drawRules(rand, pot, fee, terms.rungs.length);
        }
    }

    function _drawRules(Dice.Rand memory rand, Pot memory pot, bool fee, uint256 rungs) private view {
        uint256 mask = rand.roll(16);
        if (fee) mask &= 14; // outcome 0, a slashed depositor, is not for fees
        uint256 count;
        for (uint256 o; o < 4; ++o) count += (mask >> o) & 1;
        pot.rules = new Rule[](count);
        uint256 n;
        for (uint8 o; o < 4; ++o) {
            if ((mask >> o) & 1 == 0) continue;
            Rule memory rule = pot.rules[n++];
            rule.outcome = o;
            rule.kind = uint8(rand.hit(2) ? 4 : rand.roll(4));
            if (rule.kind < 3) _drawPayees(rand, rule, pot.amount);
            if (rule.kind == 3) rule.rung = uint8(rand.roll(rungs));
            if (rule.kind == 4) {
                rule.term = uint32(1 + rand.roll(500));
                if (pot.residual == KEEPER) pot.residual = DEPOSITOR;
            }
        }
    }

    function _drawPayees(Dice.Rand memory rand, Rule memory rule, uint128 amount) private view {
        uint256 n = 1 + rand.roll(3);
        rule.payees = new address[](n);
        if (rule.kind < 2) rule.numbers = new uint128[](n);
        for (uint256 i; i < n; ++i) {
            uint256 who = rand.roll(7);
            rule.payees[i] = who == 0 ? KEEPER : who == 1 ? DEPOSITOR : people[rand.roll(9)];
            if (rule.kind == 0) rule.numbers[i] = uint128(rand.roll(uint256(amount) * 2));
            if (rule.kind == 1) rule.numbers[i] = uint128(1 + rand.roll(5));
        }
        // A challenger's part is half at most, and never by values.
        if (rule.kind == 2 || n < 2) return;
        rule.payees[0] = CHALLENGER;
        rule.numbers[0] = rule.kind == 0 ? uint128(rand.roll(amount / 2 + 1)) : 1;
    }

    // --- answers

    /// @dev A result that the Book may take; some are malformed, name strangers or promise more than a pot.
    function _drawResult(Dice.Rand memory rand, Terms memory terms) internal view returns (Result memory result) {
        result.outcome = uint8(1 + rand.roll(3));
        if (_rootRoom(terms, result.outcome) == 0) result.outcome = uint8(1 + rand.roll(3));
        result.values = new uint128[](rand.roll(3));
        for (uint256 i; i < result.values.length; ++i) result.values[i] = uint128(rand.roll(800));
        if (rand.hit(3)) {
            result.slashed = new address[](1);
            uint256 i = rand.roll(terms.pots.length);
            address who = terms.pots[i].depositor;
            result.slashed[0] = uint160(who) <= LAST_ROLE || rand.hit(12) ? people[rand.roll(PEOPLE)] : who;
        }
    }

    /// @dev The least pot that would keep a root at this outcome, or 0.
    function _rootRoom(Terms memory terms, uint8 outcome) internal pure returns (uint256 room) {
        for (uint256 i; i < terms.pots.length; ++i) {
            if (!_rootAt(terms.pots[i], outcome)) continue;
            if (room == 0 || terms.pots[i].amount < room) room = terms.pots[i].amount;
        }
    }

    function _rootAt(Pot memory pot, uint8 outcome) internal pure returns (bool) {
        for (uint256 i; i < pot.rules.length; ++i) {
            if (pot.rules[i].outcome == outcome && pot.rules[i].kind == 4) return true;
        }
        return false;
    }
}
