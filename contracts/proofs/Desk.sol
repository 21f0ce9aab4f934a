// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBook} from "../src/interfaces/IBook.sol";
import {Entry, Head, Pot, Rung, Terms} from "../src/interfaces/Types.sol";
import {vm} from "./forge/Vm.sol";

/// @dev The Book's own reading of a deal, as its `deals` returns it.
interface IDeals {
    function deals(bytes32 deal)
        external
        view
        returns (
            bytes32 terms,
            bytes32 history,
            uint256 filled,
            uint8 status,
            uint8 missing,
            uint8 rung,
            uint8 ask,
            uint64 start,
            uint64 judgedAt,
            uint32 joined
        );
}

/// @title The one place where the proofs call the Book
/// @dev Each act is made as `by`, with the gas of one ordinary transaction, and answers whether it happened.
abstract contract Desk {
    uint8 internal constant FUNDING = 1;
    uint8 internal constant RUNNING = 2;
    uint8 internal constant CLOSED = 3;
    uint8 internal constant VOID = 4;
    uint256 private constant GAS = 16_000_000;

    /// What a deal's storage says.
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

    /// @notice The shipped code, with its constructor's arguments.
    function _deploy(bytes memory code, address owner, address forwarder) internal {
        code = abi.encodePacked(code, abi.encode(owner, forwarder));
        address made;
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), "the Book was not deployed");
        book = IBook(made);
    }

    function _call(address by, bytes memory data) internal returns (bool ok, bytes memory answer) {
        vm.prank(by);
        (ok, answer) = address(book).call{gas: GAS}(data);
    }

    function _open(address by, Terms memory terms, bytes32 salt) internal returns (bool ok, bytes32 id) {
        bytes memory answer;
        (ok, answer) = _call(by, abi.encodeCall(IBook.open, (terms, salt)));
        if (ok) id = abi.decode(answer, (bytes32));
    }

    function _join(address by, bytes32 id, Terms memory terms, uint8 pot) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.join, (id, pot, _head(terms), terms.pots[pot])));
    }

    function _consent(address by, bytes32 id, Terms memory terms, uint8 pot, uint64 expiry, bytes memory signature)
        internal
        returns (bool ok)
    {
        (ok,) = _call(
            by, abi.encodeCall(IBook.joinWithConsent, (id, pot, _head(terms), terms.pots[pot], expiry, signature))
        );
    }

    function _submit(address by, bytes32 id, Terms memory terms, Entry memory what) internal returns (bool ok) {
        (ok,) = _call(
            by,
            abi.encodeCall(
                IBook.submit,
                (id, _head(terms), terms.rungs[what.rung], what.ask, what.slot, what.claim, what.data)
            )
        );
    }

    function _submitAndJudge(address by, bytes32 id, Terms memory terms, Entry[] memory history, Entry memory what)
        internal
        returns (bool ok)
    {
        (ok,) = _call(
            by, abi.encodeCall(IBook.submitAndJudge, (id, terms, history, what.ask, what.slot, what.claim, what.data))
        );
    }

    function _judge(address by, bytes32 id, Terms memory terms, Entry[] memory history) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.judge, (id, terms, history)));
    }

    function _challenge(address by, bytes32 id, Terms memory terms) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.challenge, (id, terms)));
    }

    function _close(address by, bytes32 id, Terms memory terms, Entry[] memory history) internal returns (bool ok) {
        (ok,) = _call(by, abi.encodeCall(IBook.close, (id, terms, history)));
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
        (, seen.history,, seen.status,, seen.rung, seen.ask, seen.start, seen.judgedAt, seen.joined) =
            IDeals(address(book)).deals(id);
    }

    /// @dev The history's hash after one more entry (docs/reference/deals.md, section 4).
    function _chain(bytes32 before, Entry memory entry) internal pure returns (bytes32) {
        return keccak256(abi.encode(before, keccak256(abi.encode(entry))));
    }

    function _head(Terms memory terms) internal pure returns (Head memory head) {
        head.token = terms.token;
        head.fundBy = terms.fundBy;
        head.wrongBonds = terms.wrongBonds;
        head.pots = new bytes32[](terms.pots.length);
        head.rungs = new bytes32[](terms.rungs.length);
        for (uint256 i; i < terms.pots.length; ++i) head.pots[i] = keccak256(abi.encode(terms.pots[i]));
        for (uint256 i; i < terms.rungs.length; ++i) head.rungs[i] = keccak256(abi.encode(terms.rungs[i]));
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
