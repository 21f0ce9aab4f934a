"""What each refusal of our contracts means, and what to do about it: one table for all of them.

A contract refuses by the name of an error and a few numbers. That name stays the error's code, the same as in Python
(``core.deals``); this says it in a sentence. A test holds the table against the compiled contracts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from troth.core.encoding import keccak256


@dataclass(frozen=True, slots=True)
class Why:
    """A refusal in words. ``{name}`` stands for the contract's own number of that name. do: what to do next."""

    what: str
    do: str
    expected: str = ""
    actual: str = ""


_LOOK = "See where it stands: troth deal show DEAL."
_TERMS = "Write other terms; docs/reference/deals.md has their rules."
_OURS = "This is a fault of the software that sent it: report it."
_WAIT = "Do it again later."
_COURT = "See the case's rounds and their times: docs/reference/court.md."
_OTHER = "Name the right one."

REFUSALS: Mapping[str, Why] = {
    # The Book: terms
    "BadShape()": Why("the terms have a rung, an ask, a pot or a rule too many or too few", _TERMS),
    "BadTimes()": Why("a period or deadline of the terms is too short, too long or over", _TERMS),
    "BadBond()": Why("a rung's bond does not fit the rung", _TERMS),
    "BadSilent()": Why("what silence means on a rung is no outcome that the pots can pay", _TERMS),
    "BadPot()": Why("a pot of the terms does not say what it pays for each outcome", _TERMS),
    "BadWrongBonds()": Why("the terms send lost bonds to somebody who may challenge", _TERMS),
    "BadBench()": Why("the terms name a judge who also has a stake in the outcome, or no judge", _TERMS),
    "BadToken()": Why("no contract lies at the token's address", "Check the token's address, and the chain."),
    "BadPolicy()": Why("a policy's contract is not there, has other code, or refuses its parameter",
                       "Use the contracts of this workspace: troth market join, or troth chain deploy."),
    "BadTerms()": Why("the terms are not those of the deal, or are not well-formed", _LOOK),
    "LowGas()": Why("too little gas was sent along to open these terms", "Send it again with more gas."),
    # The Book: a deal's life
    "Exists()": Why("this was opened or registered already", "Go on with the one that is there."),
    "Unknown()": Why("the contract knows nothing by this id", "Check the id, the chain and the contracts in use."),
    "Stopped()": Why("it was stopped by its owner", "Ask its owner; what is under way can still end."),
    "NotFunding()": Why("the deal takes no more deposits", _LOOK, "a deal that is funding"),
    "NotRunning()": Why("the deal is not running: not everybody has deposited, or it is over", _LOOK,
                        "a deal that is running"),
    "Closed()": Why("the deal is closed already", "Collect what is yours: troth deal payouts collect.",
                     "a deal that is open"),
    "NotClosed()": Why("the deal is not closed yet", "Close it first: troth deal keep.", "a closed deal"),
    "TooEarly()": Why("it is too early for this act", _LOOK),
    "TooLate()": Why("the time for this act is over", _LOOK),
    "NotYet()": Why("its time has not come", _WAIT),
    "NotDepositor()": Why("this pot is another's to deposit", "Use that party's workspace, or bring its consent."),
    "Joined()": Why("this pot was deposited already", _LOOK),
    "BadConsent()": Why("the depositor's consent is over, or not signed by it for this deal", "Ask for a new one."),
    "TransferFailed()": Why("the token did not move",
                            "Check what the account holds and what the Book may take: troth chain status."),
    "TooLong()": Why("what was sent is longer than the contract keeps", "Keep it in the store, and send its digest."),
    "NotNamed()": Why("this account is not among those who may answer here", _LOOK, "an account that the terms name"),
    "BadSlot()": Why("there is no such slot for this answer", _LOOK),
    "Duplicate()": Why("this account has answered already", _LOOK),
    "BadHistory()": Why("the deal went on meanwhile: what was sent rests on an older state",
                        "Do it again: the newest state is read first."),
    "Judged()": Why("this rung was judged already", "Challenge it within its window, or close the deal."),
    "NoVerdict()": Why("the policy finds no verdict in what was submitted", "Wait for more, or for the period's end."),
    "PolicyFailed()": Why("the policy's contract failed or has other code now",
                          "Wait for the period's end: it counts as silence."),
    "BadResult()": Why("the policy's answer is not one that these terms can pay", "Challenge, or let the period end."),
    "TopRung()": Why("there is no rung above this one to challenge to", "Close the deal when its window is over."),
    "BenchMember()": Why("a judge of the next rung cannot challenge to it", "Let a party with a stake challenge."),
    "WrongBonds()": Why("who gets lost bonds cannot challenge", "Let another party challenge."),
    "NoRoot()": Why("there is no list of payees to pay from", _LOOK),
    "Collected()": Why("this share was collected already", "See the account's balance: troth chain status."),
    "BadProof()": Why("the proof does not lead to the root on the chain", "Take the list that was published for this "
                      "deal, or ask whoever made the proof."),
    "OverTotal()": Why("more is asked for than the list has left", "The list is wrong: tell who published it."),
    "Swept()": Why("what was left was swept already", "Nothing is left to do."),
    "Nothing()": Why("there is nothing to pay out or to write down", "See what there is: troth deal show, troth chain "
                     "status."),
    "NotOwner()": Why("only its owner may do this", "Use the owner's workspace."),
    # Policies
    "BadPath()": Why("a path of the proof is too short or too long", _OURS),
    # Policy accounts
    "BadLimits()": Why("the limits contradict themselves, or name the account among its own payees",
                       "Correct the file of limits: docs/reference/policy-account.md."),
    "OtherLimits()": Why("the account has other limits than this act was made for", "Act again: they are read anew."),
    "Tripped()": Why("the account's breaker is open, after too many refusals",
                     "The owner looks at what was refused, then: troth account reset."),
    "Expired()": Why("the account's limits are over", "The owner sets new ones: troth account limits FILE."),
    "Late()": Why("this act came after its own deadline", "Act again."),
    "BadSignature()": Why("it is not signed by the account that may do it", "Use that account's workspace."),
    "Failed(bytes answer)": Why("the call that the account made failed", "See why: troth account show."),
    "Begun()": Why("this account was set up already", "Use it as it is: troth account show."),
    "CloneArgumentsTooLong()": Why("the account's limits are too long", "Name fewer payees and calls."),
    # Courts
    "NotOurs()": Why("this deal's rung names another court", _OTHER),
    "BadResults()": Why("the choices are not those that the deal fixed", _LOOK),
    "Asked()": Why("the court was asked already", _COURT),
    "WrongFee()": Why("the fee is not what this round costs", "Ask for its cost first, and send that."),
    "WrongFee(uint256 cost)": Why("the fee is not what the court asks", "Send that.", "{cost} wei"),
    "BadDispute()": Why("the court gave a number that it gave before", "Do not use this court."),
    "NotArbitrator()": Why("only the court itself may rule", _COURT),
    "Ruled()": Why("the court has ruled already", "Close the deal: troth deal keep."),
    "NotRuled()": Why("the court has not ruled yet", _COURT),
    "NoRuling()": Why("the court refused to choose", "Let the period end: the terms say what silence means."),
    "BadCase()": Why("the case's times or choices do not fit the jury's rules", _COURT),
    "BadChoice()": Why("there is no such choice", _COURT),
    "BadCommit()": Why("an empty commitment", _OURS),
    "BadCount()": Why("the number of jurors to draw does not fit", _COURT),
    "BadHeader()": Why("this is not the header of the block that gives the draw's randomness", "Bring that block's."),
    "BadReveal()": Why("choice and salt are not what was committed to", "Reveal from the workspace that committed."),
    "BadRules()": Why("the jury's rules contradict themselves", "Deploy it with other rules."),
    "BadTicket()": Why("a ticket that was not drawn", _COURT),
    "BadValue()": Why("a stake that does not fit the pool's ticket", _COURT),
    "CheckpointUnorderedInsertion()": Why("the contract's own history is out of order", _OURS),
    "Committed()": Why("this juror has committed already", _COURT),
    "ExcludesTooMany()": Why("too many jurors are excluded from this case", _COURT),
    "Executed()": Why("the ruling was carried out already", "Nothing is left to do."),
    "Leaving()": Why("this juror is leaving the pool", "Wait until it has left, then stake again."),
    "NoRound()": Why("the case has no such round", _COURT),
    "NotAppealable()": Why("the time to appeal is over, or has not begun", _COURT),
    "NotCommitted()": Why("this juror has not committed", _COURT),
    "NotCommitting()": Why("it is not the time to commit", _COURT),
    "NotDrawing()": Why("it is not the time to draw jurors", _COURT),
    "NotFinal()": Why("the case is not final yet", _COURT),
    "NotJuror()": Why("this account was not drawn for this round", _COURT),
    "NotLeaving()": Why("this juror has not said that it leaves", "Say so first, and wait."),
    "NotRevealing()": Why("it is not the time to reveal", _COURT),
    "NotSeeded()": Why("the draw has no randomness yet", _WAIT),
    "PayFailed()": Why("the receiver does not take the coin", "Let it be paid to an account that does."),
    "PoolTooSmall()": Why("the pool has too few jurors for this case", "Wait for more jurors, or name another court."),
    "Revealed()": Why("this juror has revealed already", _COURT),
    "Seeded()": Why("the draw has its randomness already", "Go on with the draw."),
    "Serving()": Why("this juror serves in a case that is not over", _WAIT),
    "Settled()": Why("this round was settled already", "Nothing is left to do."),
    "Told()": Why("this juror's vote was told by another and is lost", _COURT),
    "WrongDeposit()": Why("the deposit is not the penalty times the votes drawn", _COURT),
    "FieldNotPresentInBlockHeader(uint8)": Why("the block header has no such field", "Bring a header of this chain."),
    # Votes
    "NoPoll()": Why("no vote was started for this deal", "Start it first."),
    "NoVotes()": Why("this account had no votes when the vote began", "Only who held the token then may vote."),
    "NotAsked()": Why("this deal asks no vote", _LOOK),
    "Started()": Why("the vote was started already", "Vote."),
    "TooMany()": Why("a number that is larger than the contract counts", _OURS),
    "Voted()": Why("this account has voted already", _LOOK),
    # Licences, jobs, royalties
    "BadWords()": Why("these are not the words that the deal fixed", "Use the offer and the order of this sale."),
    "Minted()": Why("this licence was minted already", "Look at it: troth market licence."),
    "NotAuthority()": Why("only the authority that the licence names may revoke it", "Use that account."),
    "NotRefuted()": Why("no rung of that deal refuted it", _LOOK),
    "NotSeller()": Why("the seller did not deposit in this deal", _LOOK),
    "NotStanding()": Why("the licence is over or was revoked", "Look at it: troth market licence."),
    "NotTheLadder()": Why("that deal was not judged by the rungs that the licence names", _LOOK),
    "NotTransferable()": Why("this licence may not change hands", "Buy one that may."),
    "NotUpheld()": Why("the deal did not end in the seller's favour, so it grants no licence", _LOOK),
    "NotAJob()": Why("the terms are not those of a job", _TERMS),
    "Published()": Why("this job was published already", "Use the one that is there."),
    "NotThat()": Why("a rate above a million, or no shares", "Correct the rate and the shares."),
    # Registries
    "BadInputs()": Why("the inputs do not fit the program", "See what it takes: troth model show."),
    "BadQuorum()": Why("these are not the guardians that the identity named", "Use the newest case."),
    "InvalidShortString()": Why("a name that is too long for the contract", _OURS),
    "NoGuardians()": Why("this identity named no guardians, or others", "Ask its holder for its newest document."),
    "NotAKey()": Why("the bytes are no verifying key", "Make it again: troth prove key."),
    "NotDue()": Why("the guardians' delay is not over", _WAIT),
    "NotLarger(uint64 latest,uint64 size)": Why("a checkpoint that is no larger than the anchored one",
                                                "Nothing is left to do: the newer one is there.",
                                                "more than {latest} claims", "{size}"),
    "NotOffered()": Why("this log was not offered to this account", "Let its owner offer it."),
    "NotProposed()": Why("nothing like that is proposed", "See what is: troth id guardians show."),
    "Proposed()": Why("it was proposed already", "Wait for the delay, then: troth id guardians execute."),
    "Reused()": Why("keys that were used before", "Make new ones: troth id rotate."),
    "Revoked()": Why("it was revoked, and that is final", "Use another."),
    "StringTooLong(string str)": Why("a name that is too long for the contract", _OURS),
    "TooFew()": Why("fewer guardians signed than the identity asks for", "Collect more approvals."),
    # Tokens
    "ERC20InsufficientAllowance(address spender,uint256 allowance,uint256 needed)": Why(
        "the contract may not take so much of the token", "Approve it, or give a permit.", "{needed}", "{allowance}"),
    "ERC20InsufficientBalance(address sender,uint256 balance,uint256 needed)": Why(
        "{sender} holds too little of the token", "Pay it some: troth chain pay.", "{needed}", "{balance}"),
    "ERC20InvalidApprover(address approver)": Why("{approver} cannot approve", _OURS),
    "ERC20InvalidReceiver(address receiver)": Why("{receiver} cannot receive the token", _OTHER),
    "ERC20InvalidSender(address sender)": Why("{sender} cannot send the token", _OTHER),
    "ERC20InvalidSpender(address spender)": Why("{spender} cannot be approved", _OTHER),
    "ERC2612ExpiredSignature(uint256 deadline)": Why("the permit is over", "Sign a new one.",
                                                     actual="Unix second {deadline}"),
    "ERC2612InvalidSigner(address signer,address owner)": Why(
        "the permit is signed by another account", "Let the owner sign it.", "{owner}", "{signer}"),
    "ERC3009InvalidAuthorizationTime(uint256 validAfter,uint256 validBefore)": Why(
        "the payment order is not good now", "Sign a new one.", "between Unix seconds {validAfter} and {validBefore}"),
    "ERC3009InvalidSignature()": Why("the payment order is not signed by the payer", "Let the payer sign it."),
    "ERC3009UsedAuthorization(address authorizer,bytes32 nonce)": Why(
        "this payment order was carried out or cancelled before", "Sign a new one.", actual="nonce {nonce}"),
    "SafeERC20FailedOperation(address token)": Why("the token {token} did not move", "Check what the account holds."),
    "SafeCastOverflowedUintDowncast(uint8 bits,uint256 value)": Why(
        "a number that is too large for the contract", _OURS, "{bits} bits", "{value}"),
    "ERC1155InsufficientBalance(address sender,uint256 balance,uint256 needed,uint256 tokenId)": Why(
        "{sender} does not hold this licence", "Look at it: troth market licence.", "{needed}", "{balance}"),
    "ERC1155InvalidApprover(address approver)": Why("{approver} cannot approve", _OURS),
    "ERC1155InvalidArrayLength(uint256 idsLength,uint256 valuesLength)": Why(
        "as many licences as amounts must be named", _OURS, "{idsLength}", "{valuesLength}"),
    "ERC1155InvalidOperator(address operator)": Why("{operator} cannot be approved", _OTHER),
    "ERC1155InvalidReceiver(address receiver)": Why("{receiver} does not take licences (ERC-1155)", _OTHER),
    "ERC1155InvalidSender(address sender)": Why("{sender} cannot send a licence", _OTHER),
    "ERC1155MissingApprovalForAll(address operator,address owner)": Why(
        "{operator} may not move licences of {owner}", "Let their holder approve it."),
    # Relaying, and what our contracts are built with
    "ERC2771ForwarderExpiredRequest(uint48 deadline)": Why("the request is over", "Ask its signer for a new one.",
                                                           actual="Unix second {deadline}"),
    "ERC2771ForwarderInvalidSigner(address signer,address from)": Why(
        "the request is signed by another account", "Ask for it again.", "{from}", "{signer}"),
    "ERC2771ForwarderMismatchedValue(uint256 requestedValue,uint256 msgValue)": Why(
        "another amount of the coin is sent than the request says", _OURS, "{requestedValue}", "{msgValue}"),
    "ERC2771ForwarderNoRefundReceiver()": Why("nobody is named to get back what a failed request carried", _OURS),
    "ERC2771UntrustfulTarget(address target,address forwarder)": Why(
        "{target} does not take requests from this forwarder", "Use the Book that belongs to it."),
    "InvalidAccountNonce(address account,uint256 currentNonce)": Why(
        "this was signed for another place in {account}'s order", "Sign it again.", "nonce {currentNonce}"),
    "ECDSAInvalidSignature()": Why("not a signature", "Sign it again."),
    "ECDSAInvalidSignatureLength(uint256 length)": Why("not a signature", "Sign it again.", "65 bytes", "{length}"),
    "ECDSAInvalidSignatureS(bytes32 s)": Why("a signature in its other form, which is not taken", "Sign it again."),
    "Create2EmptyBytecode()": Why("there is no code to deploy", _OURS),
    "FailedCall()": Why("the call that was carried failed", "Ask its signer what it was for."),
    "FailedDeployment()": Why("the contract could not be made, or is there already", "Look whether it is there."),
    "InsufficientBalance(uint256 balance,uint256 needed)": Why(
        "the contract holds too little of the coin", "Send more along.", "{needed}", "{balance}"),
    "ReentrancyGuardReentrantCall()": Why("a contract called back in the middle of an act", "Do not use that token or "
                                          "contract."),
    "RLPInvalidEncoding()": Why("the proof's bytes cannot be read", "Make the proof again."),
    "StringsInsufficientHexLength(uint256 value,uint256 length)": Why("a number that does not fit its text", _OURS),
    "TrieProofTraversalError(uint8 err)": Why("the proof leads nowhere in the block's tree", "Make the proof again.",
                                              actual="error {err}"),
}


def inputs_of(signature: str) -> list[dict[str, str]]:
    """The arguments that a key of the table names, as an ABI has them."""
    words = [one.split() for one in signature.partition("(")[2].removesuffix(")").split(",") if one]
    return [{"type": kind, "name": name[0] if name else ""} for kind, *name in words]


@cache
def errors() -> tuple[dict[str, object], ...]:
    """ABI entries of every error in the table."""
    return tuple({"type": "error", "name": one.partition("(")[0], "inputs": inputs_of(one)} for one in REFUSALS)


@cache
def why(selector: bytes) -> Why | None:
    """The sentence of an error by the first four bytes of its data, None for one that is nobody of ours'."""
    return _by_selector().get(selector)


@cache
def _by_selector() -> dict[bytes, Why]:
    return {keccak256(f"{one.partition('(')[0]}({','.join(i['type'] for i in inputs_of(one))})".encode())[:4]: said
            for one, said in REFUSALS.items()}
