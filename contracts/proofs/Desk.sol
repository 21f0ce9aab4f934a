// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../src/interfaces/IBook.sol";
import {Consent, Entry, Leaf} from "../src/interfaces/Types.sol";
import {State} from "../src/libraries/States.sol";
import {Terms, Words} from "./Words.sol";
import {vm} from "./forge/Vm.sol";

/// @title The one place where the proofs call the Book
/// @dev Each act is made as `by`, with the gas of one ordinary transaction, and answers whether it happened.
abstract contract Desk {
    uint8 internal constant FUNDING = 1;
    uint8 internal constant RUNNING = 2;
    uint8 internal constant CLOSED = 3;
    uint8 internal constant VOID = 4;
    uint256 private constant GAS = 16_000_000;

    /// What the Book says of a deal.
    struct Seen {
        bytes32 history;
        uint8 status;
        uint8 rung;
        uint8 ask;
        uint64 start;
        uint64 judgedAt;
        uint32 joined;
    }

    IBook internal book;
    mapping(bytes32 deal => bytes) private made; // what a deal's id is made of: opener, salt, terms

    /// @notice The shipped code, with its constructor's arguments.
    function _deploy(bytes memory code, address owner, address forwarder) internal {
        code = abi.encodePacked(code, abi.encode(owner, forwarder));
        address here;
        assembly ("memory-safe") {
            here := create(0, add(code, 32), mload(code))
        }
        require(here != address(0), "the Book was not deployed");
        book = IBook(here);
    }

    function _call(address by, bytes memory data) internal returns (bool ok, bytes memory answer) {
        vm.prank(by);
        (ok, answer) = address(book).call{gas: GAS}(data);
    }

    function _open(address by, Terms memory terms, bytes32 salt) internal returns (bool ok, bytes32 id) {
        bytes memory text = Words.encode(terms);
        bytes memory answer;
        (ok, answer) = _call(by, abi.encodeCall(IBook.open, (salt, text)));
        if (ok) id = _opened(by, salt, text, answer);
    }

    function _openAndJoin(address by, Terms memory terms, bytes32 salt, uint8 pot)
        internal
        returns (bool ok, bytes32 id)
    {
        bytes memory text = Words.encode(terms);
        bytes memory answer;
        (ok, answer) = _call(by, abi.encodeCall(IBook.openAndJoin, (salt, text, pot, new Consent[](0))));
        if (ok) id = _opened(by, salt, text, answer);
    }

    function _opened(address by, bytes32 salt, bytes memory text, bytes memory answer) private returns (bytes32 id) {
        id = _id(by, salt, text);
        require(abi.decode(answer, (bytes32)) == id, "another id");
        made[id] = abi.encodePacked(by, salt, text);
    }

    function _id(address opener, bytes32 salt, bytes memory text) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(book), opener, salt, keccak256(text)));
    }

    function _join(address by, bytes32 id, uint8 pot) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.join, (made[id], pot)));
    }

    function _consent(address by, bytes32 id, uint8 pot, uint64 expiry, bytes memory signature)
        internal
        returns (bool ok)
    {
        (ok,) = _call(by, abi.encodeCall(IBook.joinWithConsent, (made[id], pot, expiry, signature)));
    }

    function _joinWithPermit(address by, bytes32 id, uint8 pot, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        internal
        returns (bool ok)
    {
        (ok,) = _call(by, abi.encodeCall(IBook.joinWithPermit, (made[id], pot, deadline, v, r, s)));
    }

    function _joinWithAuthorization(address by, bytes32 id, uint8 pot, uint256 before, uint8 v, bytes32 r, bytes32 s)
        internal
        returns (bool ok)
    {
        (ok,) = _call(by, abi.encodeCall(IBook.joinWithAuthorization, (made[id], pot, 0, before, v, r, s)));
    }

    function _submit(address by, bytes32 id, Entry memory what) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.submit, (made[id], what.ask, what.slot, what.claim, what.data)));
    }

    function _submitAndJudge(address by, bytes32 id, Entry[] memory history, Entry memory what)
        internal
        returns (bool ok)
    {
        (ok,) = _call(
            by,
            abi.encodeCall(
                IBook.submitAndJudge, (made[id], Words.long(history), what.ask, what.slot, what.claim, what.data)
            )
        );
    }

    function _submitAndClose(address by, bytes32 id, Entry[] memory history, Entry memory what)
        internal
        returns (bool ok)
    {
        (ok,) = _call(
            by,
            abi.encodeCall(
                IBook.submitAndClose, (made[id], Words.long(history), what.ask, what.slot, what.claim, what.data)
            )
        );
    }

    function _judgeAndClose(address by, bytes32 id, Entry[] memory history) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.judgeAndClose, (made[id], Words.long(history))));
    }

    function _judge(address by, bytes32 id, Entry[] memory history) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.judge, (made[id], Words.long(history))));
    }

    function _challenge(address by, bytes32 id) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.challenge, (made[id])));
    }

    function _close(address by, bytes32 id, Entry[] memory history) internal returns (bool ok) {
        (ok,) = _call(by, _closing(id, history));
    }

    function _closing(bytes32 id, Entry[] memory history) internal view returns (bytes memory) {
        return abi.encodeCall(IBook.close, (made[id], Words.short(history)));
    }

    /// @dev The same opener and salt with other terms.
    function _closeBy(address by, bytes32 id, Terms memory terms, Entry[] memory history) internal returns (bool ok) {
        bytes memory other = abi.encodePacked(new bytes(52), Words.encode(terms));
        for (uint256 i; i < 52; ++i) other[i] = made[id][i];
        (ok,) = _call(by, abi.encodeCall(IBook.close, (other, Words.short(history))));
    }

    function _collect(
        address by,
        bytes32 id,
        uint8 pot,
        uint256 index,
        address account,
        uint128 amount,
        bytes32[] memory proof
    ) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.collect, (id, pot, index, account, amount, proof)));
    }

    function _collectMany(address by, bytes32 id, uint8 pot, Leaf[] memory leaves) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.collectMany, (id, pot, leaves)));
    }

    function _sweep(address by, bytes32 id, uint8 pot) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.sweep, (id, pot)));
    }

    function _withdraw(address by, address token) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.withdraw, (token)));
    }

    function _stop(address by, bool on) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.stop, (on)));
    }

    function _credit(address token, address account) internal view returns (uint256) {
        return book.credit(token, account);
    }

    function _seen(bytes32 id) internal view returns (Seen memory seen) {
        State memory state;
        (seen.history, state) = book.deals(id);
        (seen.status, seen.rung, seen.ask) = (uint8(state.status), uint8(state.rung), uint8(state.ask));
        (seen.start, seen.judgedAt) = (uint64(state.start), uint64(state.judgedAt));
        seen.joined = uint32(state.joined);
    }

    /// @dev What a depositor signs to let somebody else bring its deposit.
    function _consentDigest(bytes32 id, uint8 pot, address token, uint128 amount, uint64 expiry)
        internal
        view
        returns (bytes32)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Troth"),
                keccak256("1"),
                block.chainid,
                address(book)
            )
        );
        bytes32 message = keccak256(
            abi.encode(
                keccak256("Join(bytes32 deal,uint8 pot,address token,uint128 amount,uint64 expiry)"),
                id,
                pot,
                token,
                amount,
                expiry
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, message));
    }

    /// @dev A leaf of a payout root (section 9).
    function _leaf(bytes32 id, uint8 pot, uint256 index, address account, uint128 amount)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(keccak256(abi.encode(block.chainid, address(book), id, pot, index, account, amount)))
        );
    }
}
