// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../../src/interfaces/IBook.sol";
import {Entry, SUBMISSION} from "../../src/interfaces/Types.sol";
import {Pot, Terms} from "../Words.sol";
import {Handler} from "./Handler.sol";
import {Dice, vm} from "./Vm.sol";

/// @title Acts of somebody who wants what is not theirs; the Book must refuse every one of them, whatever the state
contract Attacks is Handler {
    using Dice for Dice.Rand;

    /// @notice Tries some attacks, each if some deal is in a state for it.
    function attack(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        for (uint256 tries; tries < 5; ++tries) _try(rand, rand.roll(14));
    }

    function _try(Dice.Rand memory rand, uint256 how) private {
        Money memory then_ = _money();
        string memory name;
        bool ok;
        if (how < 4) (name, ok) = _stealDeposit(rand, how);
        else if (how < 6) (name, ok) = _forgeAnswer(rand, how);
        else if (how < 10) (name, ok) = _rewrite(rand, how);
        else if (how < 12) (name, ok) = _collectMore(rand);
        else (name, ok) = _speakForOthers(rand, how);
        require(!ok, name);
        if (bytes(name).length == 0) return;
        _unchanged(then_);
        _count(name);
    }

    /// @dev A deposit without its depositor's act or signature.
    function _stealDeposit(Dice.Rand memory rand, uint256 how) private returns (string memory, bool) {
        (bool found, bytes32 id) = _pick(rand, FUNDING);
        if (!found) return ("", false);
        Terms memory terms = _terms(id);
        uint8 pot = uint8(rand.roll(terms.pots.length));
        address depositor = terms.pots[pot].depositor;
        if (how == 0 || uint160(depositor) <= 0xff) {
            return ("attack: join by another", _join(stranger, id, pot));
        }
        bytes memory signed = _signedElse(rand, how, id, terms, pot);
        uint64 expiry = uint64(block.timestamp + (how == 3 ? 1 + rand.roll(1000) : 0));
        return ("attack: consent to something else", _consent(stranger, id, pot, expiry, signed));
    }

    /// @dev 1: signed by somebody else. 2: signed by the depositor, for another deal, pot, token or amount. 3: signed
    /// for now, and brought as if it were signed for longer.
    function _signedElse(Dice.Rand memory rand, uint256 how, bytes32 id, Terms memory terms, uint8 pot)
        private
        view
        returns (bytes memory)
    {
        address depositor = terms.pots[pot].depositor;
        uint128 amount = terms.pots[pot].amount;
        uint256 what = how == 2 ? rand.roll(4) : 4;
        if (what == 0) id = keccak256(abi.encode(id));
        if (what == 1) pot += 1;
        if (what == 3) amount -= 1;
        return _sign(how == 1 ? stranger : depositor, id, pot, what == 2 ? stranger : terms.token, amount);
    }

    /// @dev An answer by somebody who was not asked, or a second one in the same seat.
    function _forgeAnswer(Dice.Rand memory rand, uint256 how) private returns (string memory, bool) {
        (bool found, bytes32 id) = _pick(rand, RUNNING);
        if (!found) return ("", false);
        Terms memory terms = _terms(id);
        Entry memory what;
        what.rung = _seen(id).rung;
        what.data = hex"02";
        if (how == 4) {
            (uint256 ask,) = _roll(_seen(id), terms.rungs[what.rung]);
            what.ask = uint8(ask);
            return ("attack: answer unasked", _submit(stranger, id, what));
        }
        Entry[] memory history = _history(id);
        for (uint256 i = history.length; i > 0; --i) {
            what = history[i - 1];
            if (what.kind != SUBMISSION || what.rung != _seen(id).rung) continue;
            what.data = hex"02";
            return ("attack: answer again", _submit(what.by, id, what));
        }
        return ("", false);
    }

    /// @dev Another history, other terms, or a second verdict or close.
    function _rewrite(Dice.Rand memory rand, uint256 how) private returns (string memory, bool) {
        (bool found, bytes32 id) = _pick(rand, how == 9 ? CLOSED : RUNNING);
        if (!found) return ("", false);
        Terms memory terms = _terms(id);
        Entry[] memory history = _history(id);
        Seen memory seen = _seen(id);
        if (how == 9) return ("attack: close again", _close(stranger, id, history));
        if (how == 6) {
            for (uint256 i; i < deals.length && seen.judgedAt == 0; ++i) {
                if (_seen(deals[i]).status != RUNNING) continue;
                id = deals[i];
                seen = _seen(id);
            }
            if (seen.judgedAt == 0) return ("", false);
            (terms, history) = (_terms(id), _history(id));
            return ("attack: judge again", _judge(stranger, id, history));
        }
        uint256 due = _due(seen, terms);
        if (block.timestamp < due && rand.hit(4)) vm.warp(due);
        if (how == 7) {
            // Everything to the attacker, in the terms.
            Pot memory pot = terms.pots[rand.roll(terms.pots.length)];
            if (rand.hit(2)) pot.residual = stranger;
            else terms.wrongBonds = stranger;
            return ("attack: close by other terms", _closeBy(stranger, id, terms, history));
        }
        if (history.length == 0) return ("", false);
        Entry memory one = history[rand.roll(history.length)];
        // Only of a submission does the short form carry a digest of the rest.
        if (one.kind == SUBMISSION && rand.hit(2)) one.data = abi.encodePacked(one.data, uint8(7));
        else one.by = one.by == stranger ? wrong : stranger;
        return ("attack: close by another history", _close(stranger, id, history));
    }

    /// @dev A leaf twice, with more in it, for another account or of another pot.
    function _collectMore(Dice.Rand memory rand) private returns (string memory, bool) {
        (bool found, bytes32 id, uint8 pot) = _pickKept(rand);
        if (!found) return ("", false);
        bytes32 root = kept[id][pot].root;
        uint256 place = rand.roll(4);
        Leaf memory leaf = leaves[root][place];
        bool again = collected[id][_leaf(id, leaf.pot, leaf.index, leaf.account, leaf.amount)];
        bytes32[] memory proof = _proof(id, root, place);
        uint256 what = rand.roll(4);
        if (again && what < 2) {
            bool ok = _collect(stranger, id, leaf.pot, leaf.index, leaf.account, leaf.amount, proof);
            return ("attack: collect again", ok);
        }
        if (what == 0) leaf.amount += 1;
        else if (what == 1) leaf.account = leaf.account == stranger ? wrong : stranger;
        else if (what == 2) leaf.index += 1;
        else leaf.pot = leaf.pot == pot ? pot + 1 : pot;
        bool paid = _collect(stranger, id, leaf.pot, leaf.index, leaf.account, leaf.amount, proof);
        return ("attack: collect another leaf", paid);
    }

    /// @dev The victim's address behind one's own calldata, as only the forwarder may put it; or the owner's act.
    function _speakForOthers(Dice.Rand memory rand, uint256 how) private returns (string memory, bool) {
        if (how == 12) {
            address by = people[rand.roll(PEOPLE)];
            return ("attack: stop by another", _stop(by, true));
        }
        for (uint256 k; k < 2 * PEOPLE; ++k) {
            address victim = people[k >> 1];
            if (victim == stranger || _credit(_token(k & 1), victim) == 0) continue;
            if (_credit(_token(k & 1), stranger) != 0) continue;
            bytes memory act = abi.encodePacked(abi.encodeCall(IBook.withdraw, (_token(k & 1))), victim);
            (bool ok,) = _call(stranger, act);
            return ("attack: withdraw for another", ok);
        }
        return ("", false);
    }
}
