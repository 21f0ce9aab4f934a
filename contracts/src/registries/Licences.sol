// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {Brought} from "../court/Brought.sol";
import {IBook} from "../interfaces/IBook.sol";
import {Entry, REFUTED, Terms, UPHELD} from "../interfaces/Types.sol";
import {State} from "../libraries/States.sol";

/// @title Licences from sales that closed for the seller, one token a deal (docs/reference/selling.md, "On chain")
/// @notice No owner and no money. A licence's words were fixed by the deal's salt before anybody paid, so that nobody
/// chooses them here; anybody mints what a closed deal grants. It ends by time, or for cause: by whom the words name,
/// or by a verdict of the rungs that they fix. That it is obeyed is no contract's to say.
contract Licences is ERC1155 {
    error NotClosed();
    error NotUpheld();
    error BadWords();
    error NotSeller();
    error Minted();
    error Unknown();
    error NotAuthority();
    error NotRefuted();
    error NotTheLadder();
    error Revoked();
    error NotTransferable();
    error NotStanding();

    /// What a sale's salt is the hash of; `troth.flows.sale_deal.Sale.words` writes the same.
    struct Words {
        bytes32 offer; // the offer's claim
        bytes32 order; // the order's claim
        bytes32 handed; // the key that was handed over, and the commitment to it
        bytes32 licence; // Keccak-256 of the licence's words
        uint64 until; // the last second, Unix
        bool transferable;
        uint16 royalty; // basis points
        address authority; // may revoke for cause; or zero
        bytes32 ladder; // keccak256 of the rungs whose refuted deal revokes; or zero
    }

    struct Grant {
        address seller;
        uint64 until;
        uint16 royalty;
        bool transferable;
        bool revoked;
        address authority;
        bytes32 offer;
        bytes32 licence;
        bytes32 ladder;
    }

    uint256 private constant CLOSED = 3;

    IBook public immutable book;
    mapping(uint256 id => Grant) private grants;
    /// The licence of a holder that `licensed` looks at, by seller and offer.
    mapping(address holder => mapping(address seller => mapping(bytes32 offer => uint256))) public preferred;

    event Granted(uint256 indexed id, address indexed holder, address indexed seller, bytes32 offer, uint64 until);
    /// `cause`: what the authority says it is for, or the deal that was refuted.
    event LicenceRevoked(uint256 indexed id, address indexed by, bytes32 cause);

    constructor(IBook book_) ERC1155("") {
        book = book_;
    }

    /// @notice Mints what a closed sale grants to whoever opened its deal. By anyone, once.
    /// @param deal_ As for the Book's acts: opener, salt, terms.
    /// @param history_ Every entry, as for the Book's `judge`.
    /// @param words What the salt is the hash of.
    /// @dev The seller is who the first ask names, and it must have deposited: so it signed this deal, words and all.
    function mint(bytes calldata deal_, bytes calldata history_, Words calldata words) external returns (uint256 id) {
        (bytes32 deal, Terms memory terms, bytes32 digest, State memory state) = Brought.read(book, deal_);
        if (state.status != CLOSED) revert NotClosed();
        if (keccak256(abi.encode(words)) != bytes32(deal_[20:52])) revert BadWords();
        (uint256 outcome,) = Brought.outcome(terms, Brought.history(deal, digest, history_), state.rung);
        if (outcome != UPHELD) revert NotUpheld();
        id = uint256(deal);
        if (grants[id].seller != address(0)) revert Minted();
        address seller = _seller(terms);
        grants[id] = Grant(
            seller,
            words.until,
            words.royalty,
            words.transferable,
            false,
            words.authority,
            words.offer,
            words.licence,
            words.ladder
        );
        address holder = address(bytes20(deal_[:20]));
        emit Granted(id, holder, seller, words.offer, words.until);
        _mint(holder, id, 1, "");
    }

    /// @notice Ends a licence for cause: by the account that its words name.
    function revoke(uint256 id, bytes32 cause) external {
        Grant storage grant = _known(id);
        if (msg.sender != grant.authority) revert NotAuthority();
        _revoke(id, grant, cause);
    }

    /// @notice Ends a licence by a verdict: a closed deal on exactly the rungs that its words fix, whose salt names this
    /// contract and this licence, and that a rung found refuted. By anyone.
    function revokeByVerdict(uint256 id, bytes calldata deal_, bytes calldata history_) external {
        Grant storage grant = _known(id);
        (bytes32 deal, Terms memory terms, bytes32 digest, State memory state) = Brought.read(book, deal_);
        if (state.status != CLOSED) revert NotClosed();
        if (bytes32(deal_[20:52]) != breachSalt(id)) revert BadWords();
        if (grant.ladder == 0 || keccak256(abi.encode(terms.rungs)) != grant.ladder) revert NotTheLadder();
        (uint256 outcome, bool judged) =
            Brought.outcome(terms, Brought.history(deal, digest, history_), state.rung);
        if (outcome != REFUTED || !judged) revert NotRefuted();
        _revoke(id, grant, deal);
    }

    /// @notice Has `licensed` look at this licence, where the holder has several for one offer.
    function prefer(uint256 id) external {
        Grant storage grant = _known(id);
        if (!standing(msg.sender, id)) revert NotStanding();
        preferred[msg.sender][grant.seller][grant.offer] = id;
    }

    /// @notice Whether an account may use what a seller's offer offered, now.
    /// @param offer The offer's claim. Compare the seller's account with the one that the offer names.
    function licensed(address holder, address seller, bytes32 offer) external view returns (bool) {
        return standing(holder, preferred[holder][seller][offer]);
    }

    /// @notice Whether the account holds this licence, and it is neither over nor revoked.
    function standing(address holder, uint256 id) public view returns (bool) {
        Grant storage grant = grants[id];
        return balanceOf(holder, id) != 0 && !grant.revoked && block.timestamp <= grant.until;
    }

    /// @notice What was granted.
    function granted(uint256 id) external view returns (Grant memory) {
        return _known(id);
    }

    /// @notice The salt of a deal in which a breach of this licence is found.
    function breachSalt(uint256 id) public view returns (bytes32) {
        return keccak256(abi.encode(address(this), id));
    }

    /// @notice The name of the deal.
    function uri(uint256 id) public pure override returns (string memory) {
        return string.concat("urn:troth:deal:", Strings.toHexString(id, 32));
    }

    function _known(uint256 id) private view returns (Grant storage grant) {
        grant = grants[id];
        if (grant.seller == address(0)) revert Unknown();
    }

    function _revoke(uint256 id, Grant storage grant, bytes32 cause) private {
        if (grant.revoked) revert Revoked();
        grant.revoked = true;
        emit LicenceRevoked(id, msg.sender, cause);
    }

    function _seller(Terms memory terms) private pure returns (address seller) {
        address[] memory who = terms.rungs[0].asks[0].who;
        if (who.length != 1) revert NotSeller();
        seller = who[0];
        for (uint256 i; i < terms.pots.length; ++i) if (terms.pots[i].depositor == seller) return seller;
        revert NotSeller();
    }

    /// @dev A transfer is of a licence that stands and whose words allow it; who receives one has it looked at, unless
    /// a longer one is.
    function _update(address from, address to, uint256[] memory ids, uint256[] memory values) internal override {
        for (uint256 i; i < ids.length; ++i) {
            Grant storage grant = grants[ids[i]];
            if (from != address(0)) {
                if (!grant.transferable) revert NotTransferable();
                if (!standing(from, ids[i])) revert NotStanding();
            }
        }
        super._update(from, to, ids, values);
        for (uint256 i; i < ids.length; ++i) {
            Grant storage grant = grants[ids[i]];
            // Nothing, or something over, may be sent to anybody: it must not hide a licence that stands.
            if (!standing(to, ids[i])) continue;
            uint256 before = preferred[to][grant.seller][grant.offer];
            if (!standing(to, before) || grants[before].until < grant.until) {
                preferred[to][grant.seller][grant.offer] = ids[i];
            }
        }
    }
}
