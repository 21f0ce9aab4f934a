// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../../src/interfaces/IBook.sol";
import {Entry, Leaf as Payee, Result, Rung, SUBMISSION} from "../../src/interfaces/Types.sol";
import {Terms} from "../Words.sol";
import {Ledger} from "./Ledger.sol";
import {Dice, vm} from "./Vm.sol";

/// @title Honest and clumsy acts, steered so that every transition of a deal happens
/// @dev Each act takes one seed. It picks a deal in a state where the act makes sense, warps to the right time now and
/// then, and says beforehand whether the Book must accept: anything else reverts, which ends the run.
contract Handler is Ledger {
    using Dice for Dice.Rand;

    uint256 private constant MOST = 16; // deals of one run
    address private constant NOBODY = address(0);

    // --- open and join

    function open(uint256 seed) external {
        if (deals.length == MOST) return;
        Dice.Rand memory rand = Dice.Rand(seed);
        Terms memory terms = _drawTerms(rand);
        if (rand.hit(4)) return _openJoined(rand, terms);
        Money memory then_ = _money();
        (bool ok, bytes32 id) = _open(people[rand.roll(PEOPLE)], terms, bytes32(deals.length));
        require(ok == !stopped, "open: accepted while stopped, or refused while not");
        if (!ok) return _unchanged(then_);
        _onlySpent(then_, NOBODY, NOBODY, 0);
        _remember(id, terms);
        _count("open");
        // Most deals are joined at once, so that there is something to judge.
        if (rand.hit(4)) return;
        for (uint8 i; i < terms.pots.length; ++i) _joinPot(rand, id, terms, i);
        if (rand.hit(2)) _walk(rand, id);
    }

    /// @dev Opened by the first pot's depositor, who joins in the same act, or neither.
    function _openJoined(Dice.Rand memory rand, Terms memory terms) private {
        address by = terms.pots[0].depositor;
        bool must = !stopped && _brings(terms.token, by);
        Money memory then_ = _money();
        (bool ok, bytes32 id) = _openAndJoin(by, terms, bytes32(deals.length), 0);
        require(ok == must, "openAndJoin: refused though due, or accepted though not");
        if (!ok) return _unchanged(then_);
        _remember(id, terms);
        held[id] = terms.pots[0].amount;
        _onlySpent(then_, by, terms.token, held[id]);
        _count("openAndJoin");
        for (uint8 i = 1; i < terms.pots.length; ++i) _joinPot(rand, id, terms, i);
        _walk(rand, id);
    }

    function join(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id) = _pick(rand, FUNDING);
        if (!found) return;
        Terms memory terms = _terms(id);
        for (uint8 i; i < terms.pots.length; ++i) _joinPot(rand, id, terms, i);
    }

    function _joinPot(Dice.Rand memory rand, bytes32 id, Terms memory terms, uint8 pot) private {
        address depositor = terms.pots[pot].depositor;
        if (uint160(depositor) <= 0xff || _seen(id).joined & (1 << pot) != 0) return;
        bool must = !stopped && block.timestamp < terms.fundBy && _brings(terms.token, depositor);
        uint128 amount = terms.pots[pot].amount;
        Money memory then_ = _money();
        bool ok;
        if (rand.hit(3)) {
            bytes memory signed = _sign(depositor, id, pot, terms.token, amount);
            ok = _consent(people[rand.roll(PEOPLE)], id, pot, uint64(block.timestamp), signed);
            if (ok) _count("joinWithConsent");
        } else {
            ok = _join(depositor, id, pot);
            if (ok) _count("join");
        }
        require(ok == must, "join: refused though due, or accepted though not");
        if (!ok) return _unchanged(then_);
        held[id] += amount;
        _onlySpent(then_, depositor, terms.token, amount);
    }

    /// @dev A consent that ends with this second.
    function _sign(address signer, bytes32 id, uint8 pot, address token, uint128 amount)
        internal
        view
        returns (bytes memory)
    {
        bytes32 digest = _consentDigest(id, pot, token, amount, uint64(block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[signer], digest);
        return abi.encodePacked(r, s, v);
    }

    // --- submit and judge

    function submit(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id) = _pick(rand, RUNNING);
        if (found) _submitIt(rand, id);
    }

    function _submitIt(Dice.Rand memory rand, bytes32 id) private {
        Terms memory terms = _terms(id);
        Seen memory seen = _seen(id);
        (bool found, Entry memory what) = _freeSeat(rand, id, terms.rungs[seen.rung], seen);
        if (!found) return;
        what.claim = bytes32(rand.roll(1e9) + 1);
        what.data = _drawAnswer(rand, id, terms);
        Entry[] memory history = _history(id);
        Money memory then_ = _money();
        vm.recordLogs();
        if (terms.rungs[seen.rung].window == 0 && rand.hit(3) && _submitAndClose(what.by, id, history, what)) {
            _read(id);
            require(_history(id).length == history.length + 2, "submitAndClose: not both entries");
            require(_seen(id).status == CLOSED, "submitAndClose: not closed");
            _count("submitAndClose");
        } else if (rand.hit(4) && _submitAndJudge(what.by, id, history, what)) {
            _read(id);
            require(_history(id).length == history.length + 2, "submitAndJudge: not both");
            _count("submitAndJudge");
        } else {
            _unchanged(then_);
            vm.recordLogs(); // forgets what a refused act wrote
            require(_submit(what.by, id, what), "submit: refused though the seat is free");
            _read(id);
            require(_history(id).length == history.length + 1, "submit: not one entry");
            _count("submit");
        }
        _onlySpent(then_, NOBODY, NOBODY, 0);
    }

    /// @dev A place and slot of the current ask that nobody has filled, if there is one.
    function _freeSeat(Dice.Rand memory rand, bytes32 id, Rung memory rung, Seen memory seen)
        private
        view
        returns (bool, Entry memory what)
    {
        (uint256 ask,) = _roll(seen, rung);
        if (ask == rung.asks.length) return (false, what);
        address[] memory who = _asked(rung, ask);
        uint256 slots = rung.asks[ask].slots;
        uint256 first = rand.roll(who.length * slots);
        for (uint256 i; i < who.length * slots; ++i) {
            uint256 seat = (first + i) % (who.length * slots);
            what.kind = SUBMISSION;
            what.by = who[seat / slots];
            (what.rung, what.ask, what.slot) = (seen.rung, uint8(ask), uint8(seat % slots));
            if (!_answered(id, what)) return (true, what);
        }
        return (false, what);
    }

    function _asked(Rung memory rung, uint256 ask) internal pure returns (address[] memory) {
        while (rung.asks[ask].who.length == 0) --ask;
        return rung.asks[ask].who;
    }

    function _answered(bytes32 id, Entry memory what) private view returns (bool) {
        Entry[] memory history = _history(id);
        for (uint256 i; i < history.length; ++i) {
            Entry memory one = history[i];
            if (one.kind == SUBMISSION && one.rung == what.rung && one.ask == what.ask && one.slot == what.slot) {
                if (one.by == what.by) return true;
            }
        }
        return false;
    }

    /// @dev Mostly what the puppet takes for a result, often with a payout root; now and then something worse.
    function _drawAnswer(Dice.Rand memory rand, bytes32 id, Terms memory terms) private returns (bytes memory) {
        uint256 how = rand.roll(24);
        if (how < 4) return abi.encodePacked(uint8(how + 1), "nothing that can be read");
        Result memory result = _drawResult(rand, terms);
        uint256 room = _rootRoom(terms, result.outcome);
        if (room != 0 && !rand.hit(4)) {
            result.total = uint128(rand.hit(12) ? room + 1 : 1 + rand.roll(room));
            result.root = _plant(rand, id, terms, result);
        }
        // The puppet answers what follows a zero byte; `Assumed` answers the whole.
        bool bare = terms.rungs[_seen(id).rung].policy == address(assumed);
        return bare != (how == 4) ? abi.encode(result) : abi.encodePacked(uint8(0), abi.encode(result));
    }

    /// @dev A tree of four leaves over the pots under roots; together they may promise more than the total.
    function _plant(Dice.Rand memory rand, bytes32 id, Terms memory terms, Result memory result)
        private
        returns (bytes32 root)
    {
        Leaf[4] memory tree;
        bytes32[4] memory hashes;
        uint256 pot = rand.roll(terms.pots.length);
        for (uint256 i; i < 4; ++i) {
            while (!_rootAt(terms.pots[pot], result.outcome)) pot = (pot + 1) % terms.pots.length;
            tree[i] = Leaf(uint8(pot), i == 3 ? 256 + i : i, people[rand.roll(PEOPLE)], uint128(rand.roll(result.total / 2 + 1)));
            hashes[i] = _leaf(id, uint8(pot), tree[i].index, tree[i].account, tree[i].amount);
            pot = (pot + 1) % terms.pots.length;
        }
        root = _node(_node(hashes[0], hashes[1]), _node(hashes[2], hashes[3]));
        for (uint256 i; i < 4; ++i) leaves[root][i] = tree[i];
    }

    function _node(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function _proof(bytes32 id, bytes32 root, uint256 place) internal view returns (bytes32[] memory proof) {
        bytes32[4] memory hashes;
        for (uint256 i; i < 4; ++i) {
            Leaf memory leaf = leaves[root][i];
            hashes[i] = _leaf(id, leaf.pot, leaf.index, leaf.account, leaf.amount);
        }
        proof = new bytes32[](2);
        proof[0] = hashes[place ^ 1];
        proof[1] = place < 2 ? _node(hashes[2], hashes[3]) : _node(hashes[0], hashes[1]);
    }

    function judge(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id) = _pick(rand, RUNNING);
        if (found) _judgeIt(rand, id);
    }

    function _judgeIt(Dice.Rand memory rand, bytes32 id) private {
        Terms memory terms = _terms(id);
        Seen memory seen = _seen(id);
        Rung memory rung = terms.rungs[seen.rung];
        uint256 freeze = _freeze(seen, rung);
        if (block.timestamp < freeze && rand.hit(4)) vm.warp(freeze + rand.roll(rung.verdictPeriod));
        bool may = seen.judgedAt == 0 && block.timestamp >= freeze && block.timestamp < freeze + rung.verdictPeriod;
        Entry[] memory history = _history(id);
        Money memory then_ = _money();
        vm.recordLogs();
        bool closes = rung.window == 0 && rand.hit(3);
        address by = people[rand.roll(PEOPLE)];
        bool ok = closes ? _judgeAndClose(by, id, history) : _judge(by, id, history);
        require(may || !ok, "judge: before the freeze, too late, or again");
        if (!ok) {
            if (may) _count("no verdict");
            return _unchanged(then_);
        }
        _read(id);
        require(_history(id).length == history.length + 1, "judge: not one entry");
        require((_seen(id).status == CLOSED) == closes, "judge: closed though not asked, or not");
        _onlySpent(then_, NOBODY, NOBODY, 0);
        _count(closes ? "judgeAndClose" : "judge");
    }

    // --- challenge and close

    function challenge(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id) = _pick(rand, RUNNING);
        if (found) _challengeIt(rand, id);
    }

    function _challengeIt(Dice.Rand memory rand, bytes32 id) private {
        Terms memory terms = _terms(id);
        Seen memory seen = _seen(id);
        uint256 since = _decided(seen, terms.rungs[seen.rung]);
        if (block.timestamp < since && rand.hit(2)) vm.warp(since + rand.roll(terms.rungs[seen.rung].window + 1));
        address by = people[rand.roll(PARTIES)];
        bool must = seen.rung + 1 < terms.rungs.length && block.timestamp >= since
            && block.timestamp < since + terms.rungs[seen.rung].window && _brings(terms.token, by);
        uint256 amount = terms.rungs[seen.rung].bond;
        for (uint256 i; i < terms.pots.length; ++i) {
            if (uint160(terms.pots[i].depositor) == 0x11 + seen.rung) amount += terms.pots[i].amount;
        }
        Money memory then_ = _money();
        vm.recordLogs();
        bool ok = _challenge(by, id);
        require(ok == must, "challenge: refused though due, or accepted though not");
        if (!ok) return _unchanged(then_);
        _read(id);
        held[id] += amount;
        _onlySpent(then_, by, terms.token, amount);
        _count(seen.judgedAt == 0 ? "challenge of silence" : "challenge");
    }

    function close(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id) = _pick(rand, rand.hit(4) ? FUNDING : RUNNING);
        if (!found) return;
        uint256 due = _due(_seen(id), _terms(id));
        if (block.timestamp < due && rand.hit(2)) vm.warp(due + rand.roll(100));
        _closeIt(people[rand.roll(PEOPLE)], id);
    }

    function _closeIt(address by, bytes32 id) private {
        Terms memory terms = _terms(id);
        Seen memory seen = _seen(id);
        bool must = block.timestamp >= _due(seen, terms);
        Money memory then_ = _money();
        vm.recordLogs();
        bool ok = _close(by, id, _history(id));
        // Whatever the token, the policies and the accounts do.
        require(ok == must, "close: refused though due, or accepted though not");
        if (!ok) return _unchanged(then_);
        _read(id);
        require(_seen(id).status == (seen.status == FUNDING ? VOID : CLOSED), "close: another state");
        _onlySpent(then_, NOBODY, NOBODY, 0);
        _count(seen.status == FUNDING ? "close void" : seen.rung == 0 ? "close" : seen.rung == 1 ? "close 1" : "close 2");
    }

    /// @notice Some natural steps of one deal: what diligent parties would do next.
    function onward(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id) = _pick(rand, RUNNING);
        if (found) _walk(rand, id);
    }

    function _walk(Dice.Rand memory rand, bytes32 id) private {
        for (uint256 steps = 1 + rand.roll(16); steps > 0 && _seen(id).status == RUNNING; --steps) _step(rand, id);
    }

    function _step(Dice.Rand memory rand, bytes32 id) private {
        Seen memory seen = _seen(id);
        Rung memory rung = _terms(id).rungs[seen.rung];
        (uint256 ask,) = _roll(seen, rung);
        if (ask < rung.asks.length) return _submitIt(rand, id);
        if (seen.judgedAt == 0 && block.timestamp < _decided(seen, rung) && rand.hit(2)) return _judgeIt(rand, id);
        if (rung.window != 0 && !rand.hit(4)) return _challengeIt(rand, id);
        uint256 due = _due(seen, _terms(id));
        if (block.timestamp < due) vm.warp(due);
        _closeIt(people[rand.roll(PEOPLE)], id);
    }

    // --- collect, sweep, withdraw

    function collect(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id, uint8 pot) = _pickKept(rand);
        if (!found) return;
        if (rand.hit(2)) return _collectAll(rand, id, pot);
        uint256 first = rand.roll(4);
        for (uint256 i; i < 4; ++i) _collectIt(rand, id, pot, first ^ i);
    }

    function _collectIt(Dice.Rand memory rand, bytes32 id, uint8 pot, uint256 place) private {
        Kept storage stays = kept[id][pot];
        Leaf memory leaf = leaves[stays.root][place];
        bytes32 hash = _leaf(id, leaf.pot, leaf.index, leaf.account, leaf.amount);
        bool must = leaf.pot == pot && block.timestamp < stays.end && !collected[id][hash] && leaf.amount <= stays.left;
        bytes32[] memory proof = _proof(id, stays.root, place);
        Money memory then_ = _money();
        bool ok = _collect(people[rand.roll(PEOPLE)], id, pot, leaf.index, leaf.account, leaf.amount, proof);
        require(ok == must, "collect: refused though due, or paid though not");
        if (!ok) return _unchanged(then_);
        collected[id][hash] = true;
        stays.left -= leaf.amount;
        _onlySpent(then_, NOBODY, NOBODY, 0);
        _count("collect");
    }

    /// @dev All four leaves at once: those collected already are passed over, anything else refuses them all.
    function _collectAll(Dice.Rand memory rand, bytes32 id, uint8 pot) private {
        Kept storage stays = kept[id][pot];
        Payee[] memory many = new Payee[](4);
        uint256 sum;
        bool must = block.timestamp < stays.end;
        for (uint256 i; i < 4; ++i) {
            Leaf memory leaf = leaves[stays.root][i];
            many[i] = Payee(leaf.index, leaf.account, leaf.amount, _proof(id, stays.root, i));
            if (leaf.pot != pot) must = false;
            else if (!collected[id][_leaf(id, pot, leaf.index, leaf.account, leaf.amount)]) sum += leaf.amount;
        }
        must = must && sum <= stays.left;
        Money memory then_ = _money();
        require(_collectMany(people[rand.roll(PEOPLE)], id, pot, many) == must, "collectMany: not as due");
        if (!must) return _unchanged(then_);
        for (uint256 i; i < 4; ++i) collected[id][_leaf(id, pot, many[i].index, many[i].account, many[i].amount)] = true;
        stays.left -= sum;
        _onlySpent(then_, NOBODY, NOBODY, 0);
        _count("collectMany");
    }

    function sweep(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        (bool found, bytes32 id, uint8 pot) = _pickKept(rand);
        if (!found) return;
        if (block.timestamp < kept[id][pot].end && rand.hit(3)) vm.warp(kept[id][pot].end + rand.roll(100));
        _sweepIt(people[rand.roll(PEOPLE)], id, pot);
    }

    function _sweepIt(address by, bytes32 id, uint8 pot) private {
        Kept storage stays = kept[id][pot];
        Money memory then_ = _money();
        bool ok = _sweep(by, id, pot);
        require(ok == (block.timestamp >= stays.end && !stays.swept), "sweep: refused though due, or early or twice");
        if (!ok) return _unchanged(then_);
        stays.left = 0;
        stays.swept = true;
        _onlySpent(then_, NOBODY, NOBODY, 0);
        _count("sweep");
    }

    function withdraw(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        uint256 first = rand.roll(2 * PEOPLE);
        for (uint256 i; i < 2 * PEOPLE; ++i) {
            uint256 k = (first + i) % (2 * PEOPLE);
            if (_credit(_token(k & 1), people[k >> 1]) != 0) return _withdrawIt(people[k >> 1], _token(k & 1));
        }
    }

    function _withdrawIt(address by, address token) private {
        uint256 amount = _credit(token, by);
        uint256 before = _balance(token, address(book));
        bool ok = _withdraw(by, token);
        require(ok == _takesOut(token, by), "withdraw: refused though the token pays, or the other way");
        if (!ok) {
            require(_credit(token, by) == amount && _balance(token, address(book)) == before, "withdraw: half done");
            return;
        }
        require(_credit(token, by) == 0 && _balance(token, address(book)) + amount == before, "withdraw: another sum");
        _count("withdraw");
    }

    // --- the world

    function wait(uint256 seed) external {
        vm.warp(block.timestamp + 1 + seed % 60);
    }

    /// @notice The tokens change their mood: an account is refused, or a token cheats, reenters, burns, floods.
    /// @dev Not mode 8, which moves money and denies it: such a token harms its own deals (docs/security/contracts.md).
    function mood(uint256 seed) external {
        Dice.Rand memory rand = Dice.Rand(seed);
        if (rand.hit(2)) {
            address account = rand.hit(6) ? address(book) : people[rand.roll(PEOPLE)];
            moody.fail(account, !moody.failing(account) && rand.hit(2));
        } else {
            require(!hostile.entered(), "reentered");
            hostile.set(rand.hit(2) ? rand.roll(8) : 0, _attack(rand));
        }
    }

    /// @dev What the hostile token calls back with: something that would be accepted, were it not inside another act.
    function _attack(Dice.Rand memory rand) private view returns (bytes memory) {
        (bool found, bytes32 id) = _pick(rand, RUNNING);
        if (found && rand.hit(2)) return _closing(id, _history(id));
        uint8 pot;
        (found, id, pot) = _pickKept(rand);
        if (found) return abi.encodeCall(IBook.sweep, (id, pot));
        return abi.encodeCall(IBook.withdraw, (address(hostile)));
    }

    function stop(uint256 seed) external {
        stopped = seed % 8 == 0;
        require(_stop(owner, stopped), "stop: the owner was refused");
        if (stopped) _count("stop");
    }

    /// @notice Money sent to the Book outside every act belongs to nobody and moves nothing.
    function donate(uint256 seed) external {
        if (hostile.mode() != 0) return;
        hostile.mint(address(book), seed % 100);
        donated[address(hostile)] += seed % 100;
    }

    /// @dev Whether the token takes the deposit and the Book receives exactly that.
    function _brings(address token, address from) private view returns (bool) {
        if (token == address(moody)) return !moody.failing(from) && !moody.failing(address(book));
        uint256 how = hostile.mode();
        return how == 0 || how == 3 || how == 5 || how == 6;
    }

    function _takesOut(address token, address to) private view returns (bool) {
        if (token == address(moody)) return !moody.failing(to) && !moody.failing(address(book));
        uint256 how = hostile.mode();
        return how == 0 || how == 1 || how == 3 || how == 5 || how == 6;
    }

    // --- picking

    function _pick(Dice.Rand memory rand, uint8 status) internal view returns (bool, bytes32) {
        if (deals.length == 0) return (false, 0);
        uint256 first = rand.roll(deals.length);
        for (uint256 i; i < deals.length; ++i) {
            bytes32 id = deals[(first + i) % deals.length];
            if (_seen(id).status == status) return (true, id);
        }
        return (false, 0);
    }

    function _pickKept(Dice.Rand memory rand) internal view returns (bool, bytes32, uint8) {
        if (deals.length == 0) return (false, 0, 0);
        uint256 first = rand.roll(deals.length);
        for (uint256 i; i < deals.length; ++i) {
            bytes32 id = deals[(first + i) % deals.length];
            uint256 shift = rand.roll(8);
            for (uint8 p; p < 8; ++p) {
                uint8 pot = uint8((p + shift) % 8);
                if (kept[id][pot].root != 0) return (true, id, pot);
            }
        }
        return (false, 0, 0);
    }

    // --- the end of a run

    /// @notice Every deal can be closed by anybody, every root swept, every credit withdrawn; then nothing is left.
    function end() external {
        hostile.set(0, "");
        for (uint256 i; i < PEOPLE; ++i) moody.fail(people[i], false);
        moody.fail(address(book), false);
        // The longest life and the longest term that the Book allows.
        vm.warp(block.timestamp + 63_072_000);
        for (uint256 i; i < deals.length; ++i) {
            if (_seen(deals[i]).status <= RUNNING) _closeIt(stranger, deals[i]);
            require(_seen(deals[i]).status >= CLOSED, "a deal is not closed");
        }
        vm.warp(block.timestamp + 63_072_000);
        for (uint256 i; i < deals.length; ++i) {
            for (uint8 p; p < 8; ++p) {
                if (kept[deals[i]][p].root != 0 && !kept[deals[i]][p].swept) _sweepIt(stranger, deals[i], p);
            }
        }
        for (uint256 t; t < 2; ++t) {
            for (uint256 i; i < PEOPLE; ++i) if (_credit(_token(t), people[i]) != 0) _withdrawIt(people[i], _token(t));
            require(_balance(_token(t), address(book)) == donated[_token(t)], "the Book keeps what is somebody's");
        }
    }
}
