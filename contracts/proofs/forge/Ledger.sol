// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../../src/interfaces/IBook.sol";
import {Entry, Result, Rung, VERDICT} from "../../src/interfaces/Types.sol";
import {Pot, Terms, Words} from "../Words.sol";
import {Log, vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @title What the handler knows by itself: every deal, every entry, and what the Book must hold
/// @dev Nothing here asks the Book what it holds. Amounts come from the terms and from which acts happened.
abstract contract Ledger is World {
    struct Leaf {
        uint8 pot;
        uint256 index;
        address account;
        uint128 amount;
    }

    struct Kept {
        uint256 left;
        uint256 end;
        bytes32 root;
        bool swept;
    }

    bytes32[] internal deals;
    mapping(bytes32 deal => bytes) private packed; // the terms
    mapping(bytes32 deal => Entry[]) private entries;
    mapping(bytes32 deal => bytes32) private hashes; // of all entries
    mapping(bytes32 deal => address) private tokens;
    mapping(bytes32 deal => uint256) private pots;
    mapping(bytes32 deal => mapping(uint256 rung => bytes32)) private verdicts; // the hash of the answer recorded
    mapping(bytes32 deal => uint256) internal held; // deposits and bonds of a live deal
    mapping(bytes32 deal => mapping(uint256 pot => Kept)) internal kept;
    mapping(bytes32 deal => mapping(bytes32 leaf => bool)) internal collected;
    mapping(bytes32 root => Leaf[4]) internal leaves;
    mapping(address token => uint256) internal donated; // sent outside any act: belongs to nobody
    mapping(string what => uint256) private times; // how often what happened
    string[] private happened;
    bool internal stopped;

    /// What everybody has, in both tokens, with the Book and outside.
    struct Money {
        uint256[PEOPLE][2] balances;
        uint256[PEOPLE][2] credits;
        bytes32 state; // of every deal
    }

    function _count(string memory what) internal {
        if (times[what]++ == 0) happened.push(what);
    }

    /// @notice What happened and how often, one `name=number;` each.
    function tally() external view returns (string memory line) {
        for (uint256 i; i < happened.length; ++i) {
            line = string.concat(line, happened[i], "=", vm.toString(times[happened[i]]), ";");
        }
    }

    function _terms(bytes32 id) internal view returns (Terms memory) {
        return abi.decode(packed[id], (Terms));
    }

    function _history(bytes32 id) internal view returns (Entry[] memory) {
        return entries[id];
    }

    function _remember(bytes32 id, Terms memory terms) internal {
        deals.push(id);
        packed[id] = abi.encode(terms);
        hashes[id] = id;
        tokens[id] = terms.token;
        pots[id] = terms.pots.length;
    }

    // --- what changed

    function _money() internal view returns (Money memory money) {
        for (uint256 t; t < 2; ++t) {
            for (uint256 i; i < PEOPLE; ++i) {
                money.balances[t][i] = _balance(_token(t), people[i]);
                money.credits[t][i] = _credit(_token(t), people[i]);
            }
        }
        for (uint256 i; i < deals.length; ++i) money.state = keccak256(abi.encode(money.state, _seen(deals[i])));
    }

    /// @dev Authorisation: only `spender`, who acted or signed, has less than before, and by exactly `amount`.
    function _onlySpent(Money memory then_, address spender, address token, uint256 amount) internal view {
        Money memory now_ = _money();
        for (uint256 t; t < 2; ++t) {
            for (uint256 i; i < PEOPLE; ++i) {
                require(now_.credits[t][i] >= then_.credits[t][i], "authorisation: a credit vanished");
                uint256 before = then_.balances[t][i];
                if (people[i] == spender && _token(t) == token) {
                    require(now_.balances[t][i] + amount == before, "authorisation: not the amount agreed");
                } else {
                    require(now_.balances[t][i] >= before, "authorisation: money left an account without its act");
                }
            }
        }
    }

    /// @dev A refused act changes nothing.
    function _unchanged(Money memory then_) internal view {
        require(
            keccak256(abi.encode(then_)) == keccak256(abi.encode(_money())), "a refused act changed something"
        );
    }

    // --- what happened

    /// @dev Reads the events of the last act into the history.
    function _read(bytes32 id) internal {
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter != address(book)) continue;
            bytes32 what = logs[i].topics[0];
            if (what == IBook.Recorded.selector) {
                require(logs[i].topics[1] == id, "an act wrote to another deal");
                (bytes32 head, bytes32 claim, bytes memory data) = abi.decode(logs[i].data, (bytes32, bytes32, bytes));
                Entry memory entry = Words.unhead(head);
                (entry.claim, entry.data) = (claim, data);
                _record(id, entry);
            } else if (what == IBook.DealClosed.selector) {
                require(logs[i].topics[1] == id, "an act closed another deal");
                (uint8 status, Result memory result) = abi.decode(logs[i].data, (uint8, Result));
                _closed(id, status, result);
            }
        }
    }

    function _record(bytes32 id, Entry memory entry) private {
        require(entry.time == block.timestamp, "an entry with another time");
        entries[id].push(entry);
        hashes[id] = Words.chain(hashes[id], entry);
        if (entry.kind != VERDICT) return;
        require(verdicts[id][entry.rung] == 0, "a verdict was overwritten");
        verdicts[id][entry.rung] = keccak256(entry.data);
    }

    /// @dev Section 8, as far as it says what stays with the Book: what the roots keep.
    function _closed(bytes32 id, uint8 status, Result memory result) private {
        require(held[id] != 0 || status == VOID, "a deal closed twice");
        held[id] = 0;
        if (status == VOID) return;
        Terms memory terms = _terms(id);
        _finalIsTheVerdict(id, result);
        address[4] memory challengers;
        Entry[] memory history = entries[id];
        uint256 last;
        for (uint256 i; i < history.length; ++i) {
            if (history[i].kind == 3) challengers[last++] = history[i].by;
        }
        for (uint256 i; i < terms.pots.length; ++i) {
            address depositor = terms.pots[i].depositor;
            uint256 fee = uint160(depositor) <= 0xff ? uint160(depositor) - 0x10 : 0;
            if (fee > last) continue;
            if (fee != 0) depositor = challengers[fee - 1];
            (bool root, uint256 term) = _keeps(terms.pots[i], result, depositor);
            if (!root) continue;
            uint256 amount = result.total < terms.pots[i].amount ? result.total : terms.pots[i].amount;
            kept[id][i] = Kept(amount, block.timestamp + term, result.root, false);
            _count("kept");
        }
    }

    /// @dev The verdict of the highest rung reached is the result, whatever else was said, tried or paid since.
    function _finalIsTheVerdict(bytes32 id, Result memory result) private view {
        bytes32 last = verdicts[id][_seen(id).rung];
        if (last == 0) return;
        Entry[] memory history = entries[id];
        for (uint256 i = history.length; i > 0; --i) {
            if (history[i - 1].kind != VERDICT) continue;
            Result memory said = abi.decode(history[i - 1].data, (Result));
            require(
                said.outcome == result.outcome && said.root == result.root && said.total == result.total
                    && keccak256(abi.encode(said.values)) == keccak256(abi.encode(result.values)),
                "the final result is not the last verdict"
            );
            for (uint256 j; j < said.slashed.length; ++j) {
                require(_in(result.slashed, said.slashed[j]), "the verdict's slashed are not the result's");
            }
            return;
        }
    }

    function _keeps(Pot memory pot, Result memory result, address depositor) private pure returns (bool, uint256) {
        bool blocked = _in(result.slashed, depositor);
        bool special = blocked && pot.rules.length != 0 && pot.rules[0].outcome == 0;
        for (uint256 i; i < pot.rules.length; ++i) {
            if (pot.rules[i].outcome != (special ? 0 : result.outcome)) continue;
            return (pot.rules[i].kind == 4 && result.root != 0, pot.rules[i].term);
        }
        return (false, 0);
    }

    function _in(address[] memory list, address account) internal pure returns (bool) {
        for (uint256 i; i < list.length; ++i) if (list[i] == account) return true;
        return false;
    }

    // --- when

    /// @dev Section 4: the ask that runs now and its start; past the last ask, the freeze.
    function _roll(Seen memory seen, Rung memory rung) internal view returns (uint256 ask, uint256 start) {
        ask = seen.ask;
        start = seen.start;
        while (ask < rung.asks.length && block.timestamp >= start + rung.asks[ask].period) {
            start += rung.asks[ask++].period;
        }
    }

    /// @dev The freeze of the current rung if nobody answers any more.
    function _freeze(Seen memory seen, Rung memory rung) internal pure returns (uint256 time) {
        time = seen.start;
        for (uint256 a = seen.ask; a < rung.asks.length; ++a) time += rung.asks[a].period;
    }

    /// @dev Sections 5 to 7: since when the current rung is decided, if nobody judges any more.
    function _decided(Seen memory seen, Rung memory rung) internal pure returns (uint256) {
        return seen.judgedAt != 0 ? seen.judgedAt : _freeze(seen, rung) + rung.verdictPeriod;
    }

    /// @dev Section 8: from when on anybody may close.
    function _due(Seen memory seen, Terms memory terms) internal pure returns (uint256) {
        if (seen.status == FUNDING) return terms.fundBy;
        return _decided(seen, terms.rungs[seen.rung]) + terms.rungs[seen.rung].window;
    }

    // --- the invariants

    /// @notice The Book's balance is the sum of live deposits and bonds, kept roots and credits, to the last unit.
    function conservation() public view {
        for (uint256 t; t < 2; ++t) {
            address token = _token(t);
            uint256 sum = donated[token];
            for (uint256 i; i < PEOPLE; ++i) sum += _credit(token, people[i]);
            for (uint256 i; i < deals.length; ++i) {
                bytes32 id = deals[i];
                if (tokens[id] != token) continue;
                sum += held[id];
                for (uint256 p; p < pots[id]; ++p) sum += kept[id][p].left;
            }
            require(_balance(token, address(book)) == sum, "conservation: the Book holds another sum");
        }
    }

    /// @notice Every deal's history is exactly what was recorded, so nothing in it was changed.
    function nothingRewritten() public view {
        for (uint256 i; i < deals.length; ++i) {
            bytes32 id = deals[i];
            require(_seen(id).history == hashes[id], "a history was rewritten");
        }
    }
}
