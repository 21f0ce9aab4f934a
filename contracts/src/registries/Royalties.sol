// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC2981} from "@openzeppelin/contracts/interfaces/IERC2981.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ERC165, IERC165} from "@openzeppelin/contracts/utils/introspection/ERC165.sol";
import {Purse} from "./Purse.sol";

/// @title Royalties for other people's markets (docs/reference/royalties.md, "The face")
/// @notice ERC-2981's question, answered with a purse for each thing; those whose shares lie under its root collect from
/// it. An id commits to everything: nobody, its maker neither, can change rate or shares of one that a market knows.
/// No owner. Whether the shares are right is not known here: whoever relies on an id makes it from the lineage.
contract Royalties is IERC2981, ERC165, ReentrancyGuard {
    error NotThat();
    error Unknown();
    error BadProof();
    error Nothing();

    /// A price's parts in a million that are owed, and the sum of the shares under `root`.
    struct Shares {
        uint32 rate;
        uint128 whole;
        bytes32 root;
    }

    event RoyaltySet(
        uint256 indexed id, address indexed maker, bytes32 indexed thing, uint32 rate, uint128 whole, bytes32 root
    );
    event Released(uint256 indexed id, address indexed token, address indexed account, uint256 amount);

    uint32 private constant MILLION = 1e6;

    /// What every purse is a copy of.
    address private immutable _purseCode = address(new Purse());

    mapping(uint256 id => Shares) public sharesOf;
    /// Paid out of a purse so far, in all and to each.
    mapping(uint256 id => mapping(address token => uint256)) public released;
    mapping(uint256 id => mapping(address token => mapping(address account => uint256))) public releasedTo;

    /// @notice The id of such a royalty of the caller's: `thing` is the claim that says what it is of.
    function idOf(address maker, bytes32 thing, uint32 rate, uint128 whole, bytes32 root)
        public
        view
        returns (uint256)
    {
        return uint256(keccak256(abi.encode(block.chainid, address(this), maker, thing, rate, whole, root)));
    }

    /// @notice Makes it known, so that markets can ask. Again is no harm.
    function set(bytes32 thing, uint32 rate, uint128 whole, bytes32 root) external returns (uint256 id) {
        if (rate > MILLION || whole == 0 || root == 0) revert NotThat();
        id = idOf(msg.sender, thing, rate, whole, root);
        if (sharesOf[id].whole != 0) return id;
        sharesOf[id] = Shares(rate, whole, root);
        emit RoyaltySet(id, msg.sender, thing, rate, whole, root);
    }

    /// @inheritdoc IERC2981
    /// @dev The purse need not be there yet: what is sent to its address waits in it. An id that is not set owes nothing.
    function royaltyInfo(uint256 id, uint256 price) external view returns (address receiver, uint256 amount) {
        Shares storage shares = sharesOf[id];
        if (shares.whole == 0) return (address(0), 0);
        return (purse(id), (price / MILLION) * shares.rate + ((price % MILLION) * shares.rate) / MILLION);
    }

    /// @notice Where what is owed for this id is to be sent.
    function purse(uint256 id) public view returns (address) {
        return Clones.predictDeterministicAddress(_purseCode, bytes32(id));
    }

    /// @notice What `account` with `share` of the whole could collect now, of `token` (zero: the chain's coin).
    function due(uint256 id, address token, address account, uint128 share) public view returns (uint256) {
        Shares storage shares = sharesOf[id];
        if (shares.whole == 0) revert Unknown();
        address from = purse(id);
        uint256 came = released[id][token] + (token == address(0) ? from.balance : IERC20(token).balanceOf(from));
        uint256 theirs = (came / shares.whole) * share + ((came % shares.whole) * share) / shares.whole;
        uint256 had = releasedTo[id][token][account];
        return theirs > had ? theirs - had : 0;
    }

    /// @notice Pays `account` what it has not collected yet, whoever calls.
    function release(uint256 id, address token, address account, uint128 share, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 amount)
    {
        amount = due(id, token, account, share);
        // Hashed twice, so that no inner node can pass for a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, share))));
        if (!MerkleProof.verifyCalldata(proof, sharesOf[id].root, leaf)) revert BadProof();
        if (amount == 0) revert Nothing();
        released[id][token] += amount;
        releasedTo[id][token][account] += amount;
        emit Released(id, token, account, amount);
        address from = purse(id);
        if (from.code.length == 0) Clones.cloneDeterministic(_purseCode, bytes32(id));
        Purse(payable(from)).pay(token, account, amount);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(ERC165, IERC165) returns (bool) {
        return interfaceId == type(IERC2981).interfaceId || super.supportsInterface(interfaceId);
    }
}
