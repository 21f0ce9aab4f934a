"""Names what happened, so that the machine can show that everything does, and often enough.

Labels are read off the Book's state before and after an act; they judge nothing.
"""

from __future__ import annotations

from collections import Counter

from ports.books import STEP
from troth.core.deals import Deal, fee_pots, holders, verdict
from troth.core.deals_terms import benches
from troth.core.settlement import RIGHT, UNANSWERED, WRONG, Finding, challenges, differ, missed, results
from troth.core.terms import (
    CHALLENGER,
    DEPOSITOR,
    KEEP,
    KEEPER,
    SLASHED,
    VERDICT,
    Account,
    Answered,
    Result,
    Root,
    Split,
)

TICKS = {"puppet5": 5, "median2": STEP}

EXPECTED = tuple(sorted({
    *(f"open refused {code}" for code in (
        "Stopped", "BadShape", "BadTimes", "BadBond", "BadSilent", "BadPot", "BadWrongBonds", "BadBench", "BadToken",
        "BadPolicy", "Exists")),
    "open", "join", "join: the deal starts", "join by consent", "join with a permit", "open and join",
    "open and join: with consents", "collect many", "collect many: some are paid", "collect_many refused BadProof",
    *(f"open_and_join refused {code}" for code in ("NotDepositor", "TransferFailed", "BadConsent", "Joined")),
    "join_with_authorization refused TransferFailed", "join_with_permit refused NotDepositor",
    *(f"join refused {code}" for code in (
        "Unknown", "Stopped", "BadTerms", "NotFunding", "TooLate", "NotDepositor", "Joined", "TransferFailed")),
    "consent refused BadConsent", "consent refused NotDepositor", "consent refused Joined",
    "submit", "submit: the ask ends early", "submit: the rung freezes early",
    *(f"submit refused {code}" for code in (
        "Unknown", "NotRunning", "TooLong", "TooEarly", "TooLate", "NotNamed", "BadSlot", "Duplicate")),
    "submit refused TooLate: frozen",
    "both", *(f"both refused {code}" for code in ("TooEarly", "NoVerdict", "NotNamed", "BadResult", "PolicyFailed")),
    "all three", *(f"all three refused {code}" for code in (
        "Unknown", "NotRunning", "TooEarly", "TooLate", "NoVerdict", "NotNamed", "NotYet")),
    "judge and close", *(f"judge and close refused {code}" for code in (
        "Unknown", "NotRunning", "TooEarly", "NoVerdict", "NotYet")),
    *(f"judge: a verdict at rung {rung}" for rung in range(4)),
    "judge: a verdict that slashes", "judge: a voice off the others slashed", "judge: after a miss",
    *(f"judge refused {code}" for code in (
        "Unknown", "NotRunning", "TooEarly", "Judged", "TooLate", "NoVerdict", "PolicyFailed", "BadResult")),
    *(f"challenge of a verdict at rung {rung}" for rung in range(3)),
    *(f"challenge of silence at rung {rung}" for rung in range(3)), "challenge with fees",
    *(f"challenge refused {code}" for code in (
        "Unknown", "NotRunning", "TopRung", "TooEarly", "TooLate", "BenchMember", "WrongBonds", "TransferFailed")),
    *(f"close refused {code}" for code in ("Unknown", "Closed", "NotYet")), "close refused NotYet: funding",
    "void: with deposits", "void: empty", "close", "close: at the last rung", "close: at the first rung",
    "silence at rung 0", "silence kept", "silence with an outcome", "silence kept twice",
    "missed by a party", "missed by a party without a deposit", "missed by a bench member",
    "right", "right by outcome", "right by slashed", "right by a value", "right by the number of values",
    "right by root", "right by total", "right by a missed ask alone", "two right",
    "wrong", "wrong within the tick", "wrong but for a bench member", "unanswered", "unanswered though it differs",
    "pot: slashed pay-out", "pot: no rule for slashed", "pot: no rule for the outcome", "pot: amounts",
    "pot: amounts clamped", "pot: weights", "pot: values", "pot: fewer values than payees",
    "pot: a blocked payee", "pot: residual blocked", "pot: the rest to a keeper", "pot: the rest to an account",
    "pot: a right challenger", "pot: no right challenger", "pot: a blocked challenger", "pot: a challenger's fees",
    "keeper with a verdict", "keeper without a verdict", "keeper blocked",
    "seats paid", "seats forfeited", "seats of a silent rung", "seats of a rung not reached",
    "root kept", "root kept: slashed", "root kept: total over the slashed pot", "root of a silent result",
    "collect", "collect refused NoRoot", "collect refused TooLate", "collect refused Collected",
    "collect refused BadProof", "collect refused OverTotal", "collect refused Unknown",
    "sweep", "sweep refused NoRoot", "sweep refused NotYet", "sweep refused Swept", "sweep refused Unknown",
    "sweep to wrong_bonds", "a transfer fails", "withdraw", "withdraw refused Nothing",
    "withdraw refused TransferFailed", "stop", "restart", "stop refused NotOwner",
}))


def of_submit(before: Deal, after: Deal) -> list[str]:
    """What one accepted answer did."""
    entry = after.history[-1]
    ended = after.ask > entry.ask
    frozen = after.ask == len(after.terms.rungs[after.rung].asks)
    return ["submit", *["submit: the ask ends early"] * ended, *["submit: the rung freezes early"] * frozen]


def of_judge(after: Deal) -> list[str]:
    """What one recorded verdict was."""
    found = Result.from_bytes(after.history[-1].data)
    out = [f"judge: a verdict at rung {after.rung}"]
    if found.slashed:
        out.append("judge: a verdict that slashes")
    if found.slashed & set(after.terms.rungs[after.rung].bench) and after.rung:
        out.append("judge: a voice off the others slashed")
    if missed(after.terms, after.rung, after.history):
        out.append("judge: after a miss")
    return out


def of_challenge(before: Deal) -> list[str]:
    """What one accepted challenge was against."""
    spoke = verdict(before, before.rung) is not None
    return [f"challenge of {'a verdict' if spoke else 'silence'} at rung {before.rung}",
            *["challenge with fees"] * bool(fee_pots(before.terms, before.rung + 1))]


def of_close(before: Deal, after: Deal, closer: Account, ticks: list[int]) -> list[str]:
    """Everything one close settled."""
    if after.status == "void":
        return ["void: with deposits" if before.joined else "void: empty"]
    terms, history = before.terms, before.history
    found = results(terms, before.rung, history)
    out = ["close", *["close: at the last rung"] * (before.rung == len(terms.rungs) - 1 > 0),
           *["close: at the first rung"] * (before.rung == 0)]
    out += _silence(before)
    out += _missed(before)
    judged = challenges(terms, found, history, lambda rung: ticks[rung])
    for challenge in judged:
        out += _challenge(before, found, challenge, ticks[challenge.rung])
    if sum(challenge.how == RIGHT for challenge in judged) > 1:
        out.append("two right")
    for index, holder in enumerate(holders(before)):
        if holder is not None:
            out += _pot(before, found[-1], judged, index, holder, closer)
    return out


def _silence(deal: Deal) -> list[str]:
    out, kept = [], 0
    for rung in range(deal.rung + 1):
        if verdict(deal, rung) is None:
            keep = deal.terms.rungs[rung].silent == KEEP
            kept += keep
            out.append("silence at rung 0" if rung == 0 else "silence kept" if keep else "silence with an outcome")
    return [*out, *["silence kept twice"] * (kept > 1)]


def _missed(deal: Deal) -> list[str]:
    out = []
    seated, staked = benches(deal.terms), {deal.terms.pots[index].depositor for index in deal.joined}
    for rung in range(deal.rung + 1):
        absent = missed(deal.terms, rung, deal.history)
        out += ["missed by a party"] * bool(absent - seated)
        out += ["missed by a party without a deposit"] * bool(absent - seated - staked)
        out += ["missed by a bench member"] * bool(absent & seated)
    return out


def _challenge(deal: Deal, found: tuple[Result, ...], challenge: Finding, tick: int) -> list[str]:
    one, final, seated = found[challenge.rung], found[-1], benches(deal.terms)
    out = [challenge.how]
    if challenge.how == RIGHT:
        out += ["right by outcome"] * (one.outcome != final.outcome)
        out += ["right by slashed"] * (one.slashed - seated != final.slashed - seated)
        out += ["right by the number of values"] * (len(one.values) != len(final.values))
        out += ["right by a value"] * any(abs(a - b) > tick for a, b in zip(one.values, final.values, strict=False))
        out += ["right by root"] * (one.root != final.root)
        out += ["right by total"] * (one.root == final.root and one.total != final.total)
        above = {entry.rung for entry in deal.history if entry.kind == VERDICT and entry.rung > challenge.rung}
        out += ["right by a missed ask alone"] * (not above)
    if challenge.how == WRONG:
        out += ["wrong within the tick"] * (one.values != final.values)
        out += ["wrong but for a bench member"] * (one.slashed != final.slashed)
    if challenge.how == UNANSWERED and differ(final, one, tick, seated):
        out.append("unanswered though it differs")
    return out


def _pot(deal: Deal, final: Result, judged: tuple[Finding, ...], index: int, holder: Account,
         closer: Account) -> list[str]:
    pot, blocked = deal.terms.pots[index], final.slashed
    slashed = holder in blocked and SLASHED in pot.pays
    rule = pot.pays[SLASHED] if slashed else pot.pays.get(final.outcome)
    residual = holder if pot.residual == DEPOSITOR else pot.residual
    out = ["pot: slashed pay-out"] * slashed
    out += ["pot: no rule for slashed"] * (holder in blocked and not slashed)
    out += ["pot: no rule for the outcome"] * (rule is None)
    out += ["pot: residual blocked"] * (residual in blocked)
    out += ["pot: the rest to a keeper"] * (residual == KEEPER)
    out += ["pot: the rest to an account"] * (pot.residual == residual != KEEPER)
    out += ["pot: a challenger's fees"] * (pot.depositor[:19] == bytes(19))
    if isinstance(rule, Root):
        out += ["root kept"] * (final.total > 0) + ["root of a silent result"] * (final.total == 0)
        out += ["root kept: slashed"] * (final.total > 0 and slashed)
        out += ["root kept: total over the slashed pot"] * (final.total > pot.amount)
    elif isinstance(rule, Answered):
        out += _seats(deal, final, rule.rung)
    elif isinstance(rule, Split):
        out += _split(deal, final, judged, index, rule, closer)
        out += ["pot: a blocked payee"] * any((holder if payee == DEPOSITOR else payee) in blocked
                                             for payee in rule.payees)
    return out


def _seats(deal: Deal, final: Result, rung: int) -> list[str]:
    if rung > deal.rung:
        return ["seats of a rung not reached"]
    if verdict(deal, rung) is None:
        return ["seats of a silent rung"]
    bench = set(deal.terms.rungs[rung].bench)
    return ["seats paid"] * bool(bench - final.slashed) + ["seats forfeited"] * bool(bench & final.slashed)


def _split(deal: Deal, final: Result, judged: tuple[Finding, ...], index: int, rule: Split,
           closer: Account) -> list[str]:
    pot = deal.terms.pots[index]
    if rule.amounts is not None:
        out = ["pot: amounts", *["pot: amounts clamped"] * (sum(rule.amounts) > pot.amount)]
    elif rule.weights is not None:
        out = ["pot: weights"]
    else:
        out = ["pot: values", *["pot: fewer values than payees"] * (len(final.values) < len(rule.payees))]
    if CHALLENGER in rule.payees:
        right = [challenge.by for challenge in judged if challenge.how == RIGHT]
        out.append("pot: a right challenger" if right else "pot: no right challenger")
        out += ["pot: a blocked challenger"] * any(by in final.slashed for by in right)
    if KEEPER in rule.payees:
        judges = [entry.by for entry in deal.history if entry.kind == VERDICT]
        out.append("keeper with a verdict" if judges else "keeper without a verdict")
        out += ["keeper blocked"] * bool({closer, *judges[-1:]} & final.slashed)
    return out


def table(counts: Counter[str], title: str) -> str:
    """The counts as text, rarest first."""
    rows = sorted((counts[label], label) for label in {*EXPECTED, *counts})
    return "\n".join([title, *(f"{count:9,}  {label}" for count, label in rows)])


