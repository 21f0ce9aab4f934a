"""``python -m tests.mutants.accounts``: break each rule of the policy account once, and see a test notice.

Each mutant is compiled, and the gate's suite, its attacks and the state machine run on it. Exits 1 if one survives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ACCOUNT, MONEY = "contracts/src/agents/PolicyAccount.sol", "contracts/src/agents/Money.sol"
TESTS = ["tests/agents/test_gate_account.py", "tests/agents/test_gate_twins.py"]

RULES: list[tuple[str, str, str, str, str]] = [
    ("other limits pass", ACCOUNT, "if (keccak256(limits) != limitsHash) revert OtherLimits();",
     "", "a_carrier_changes_nothing"),
    ("a stopped account acts", ACCOUNT, "if (s.stopped) revert Stopped();", "", "the_stop_button and OnChain"),
    ("a tripped account acts", ACCOUNT, "if (s.tripped) revert Tripped();", "", "strikes_trip"),
    ("limits do not end", ACCOUNT, "if (block.timestamp > l.expiry) revert Expired();", "", "nothing_after_the_end"),
    ("an act does not end", ACCOUNT, "if (block.timestamp > what.deadline) revert Late();", "", "over_at_its_deadline"),
    ("an act can be brought again", ACCOUNT, "uint64 nonce = s.nonce++;",
     "uint64 nonce = s.nonce;", "anybody_carries_an_act_once"),
    ("anybody's signature", ACCOUNT, "if (!_by(l.agent, _typed(message), signature)) revert BadSignature();",
     "", "another_key_does_nothing"),
    ("no cap of an act", ACCOUNT, "if (amount > l.perAct) reason = OVER_ACT;",
     "if (false) reason = OVER_ACT;", "caps_of_an_act"),
    ("no cap of a day", ACCOUNT, "else if (spent + amount > l.perDay) reason = OVER_DAY;", "", "caps_of_an_act"),
    ("a day that never begins anew", ACCOUNT, "uint256 spent = s.day == today ? s.spent : 0;",
     "uint256 spent = s.spent;", "caps_of_an_act"),
    ("nothing is counted", ACCOUNT, "s.spent = uint128(spent + amount);",
     "s.spent = uint128(spent);", "caps_of_an_act"),
    ("nobody need be sure", ACCOUNT, "else if (sure < l.agree) reason = UNSURE;", "", "too_little_confidence"),
    ("one voice too few", ACCOUNT, "else if (sure < l.agree)", "else if (sure + 1 < l.agree)", "one_voice_is_not_two"),
    ("a verifier counts twice", ACCOUNT, "heard |= 1 << place;", "", "one_voice_is_not_two"),
    ("any confidence", ACCOUNT, "if (voice.confidence < l.confidence || voice.confidence > WHOLE) continue;",
     "", "too_little_confidence"),
    ("a late voice counts", ACCOUNT, "if (block.timestamp > voice.expiry) continue;", "", "a_word_that_is_over"),
    ("a voice about anything", ACCOUNT, "if (!_by(l.verifiers[place], _typed(message), voice.signature)) continue;",
     "", "a_word_about_another_act"),
    ("voices can be left out", ACCOUNT, "keccak256(abi.encode(voices)), what.deadline",
     "bytes32(0), what.deadline", "a_carrier_changes_nothing"),
    ("no strikes", ACCOUNT, "if (reason == UNSURE && ++s.strikes >= l.strikes) {",
     "if (reason == UNSURE && s.strikes >= l.strikes) {", "too_little_confidence"),
    ("the breaker never trips", ACCOUNT, "s.tripped = true;", "", "strikes_trip"),
    ("a refusal leaves no trace", ACCOUNT, "emit Refused(nonce, what.target, reason, sure, what.data);",
     "revert Failed(what.data);", "a_stranger_is_paid_nothing"),
    ("anybody is the owner", ACCOUNT, "if (msg.sender != owner()) revert NotOwner();", "", "the_stop_button"),
    ("an account begins twice", ACCOUNT, "if (limitsHash != 0) revert Begun();", "", "begins_once"),
    ("the code is somebody's", ACCOUNT, "limitsHash = bytes32(uint256(1));", "", "begins_once"),
    ("the agent vouches for itself", ACCOUNT, "one == l.agent || ",
     "", "limits_that_no_account_takes or the_agents_own_word"),
    ("verifiers twice", ACCOUNT, "one <= last ||", "one < last ||", "limits_that_no_account_takes"),
    ("a signature for another account", ACCOUNT, "keccak256(abi.encode(OWNED, hash))",
     "hash", "the_agents_signature_is_never"),
    ("what a Book did not take stays allowed", ACCOUNT, "token.forceApprove(target, amount);",
     "token.forceApprove(target, type(uint256).max);", "takes_what_was_counted"),
    ("a call that fails is done", ACCOUNT, "if (!ok || target.code.length == 0) revert Failed(answer);",
     "", "an_act_that_fails"),
    ("any call of the account itself", MONEY, "data.length != 4 || bytes4(data) != REFILL || ",
     "", "does_not_call_itself"),
    ("a refill without an end", MONEY, "held < l.fill ? l.fill - held : 0", "l.fill", "refills_the_hot"),
    ("any call", MONEY, "data.length < 4 || !_listed(l.calls, target, bytes4(data))",
     "data.length < 4", "calls_that_are_named"),
    ("any target", MONEY, "calls[i].target == target && ", "", "calls_that_are_named"),
    ("any selector", MONEY, " && calls[i].selector == kind", "", "calls_that_are_named"),
    ("another token", MONEY, "if (size != 0) return (UNREADABLE, 0, payee);", "", "another_token"),
    ("calls of the token that are unknown", MONEY, "size == 0 || ", "size != 0 && ", "calls_of_the_token_that_cannot"),
    ("another form", MONEY, "rest.length != 32 * size", "rest.length < 32 * size", "calls_of_the_token_that_cannot"),
    ("dirty words", MONEY, "if (account > type(uint160).max) return (UNREADABLE, 0, l.token);",
     "", "calls_of_the_token_that_cannot"),
    ("any payee", MONEY, "return (_named(l, payee) ? 0 : NOT_PAYEE, amount, payee);",
     "return (0, amount, payee);", "a_stranger_is_paid_nothing"),
    ("a deal that pays anybody", MONEY, "_named(l, book) ? 0 : _reaches(l, terms, pot)", "0", "deals_that_pay_others"),
    ("a residual that is anybody", MONEY, "if (!_known(l, pot.residual)) reason = NOT_PAYEE;",
     "", "deals_that_pay_others"),
    ("a deal that pays whoever comes", MONEY, "uint160(account) > LAST_ROLE && _named(l, account)",
     "uint160(account) <= LAST_ROLE || _named(l, account)", "deals_that_pay_others"),
    ("a root", MONEY, "if (rule.kind == 4) reason = NOT_PAYEE;", "", "deals_that_pay_others"),
    ("another's pot", MONEY, "if (pot.depositor != address(this)) return (UNREADABLE, 0, book);",
     "", "a_pot_that_is_anothers"),
    ("a deal in another token", MONEY, "terms.token != l.token || ", "", "a_pot_that_is_anothers"),
]
"""What is broken, where, the old text and the new, and the test that is expected to notice (of pytest's ``-k``)."""


def noticed_by(tree: Path, path: str, old: str, new: str, first: str) -> str | None:
    """What noticed the mutant, the expected test or else any; None if nothing did."""
    source = tree / path
    whole = source.read_text("utf-8")
    if whole.count(old) != 1:
        raise SystemExit(f"{path}: not there once: {old}")
    source.write_text(whole.replace(old, new), "utf-8")
    try:
        if subprocess.run(["node", ROOT / "tests/mutants/accounts.mjs", tree], capture_output=True).returncode:
            return "it does not compile"
        for chosen in ([TESTS[0], "-k", first], TESTS):
            done = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", *chosen], cwd=tree, capture_output=True,
                                  text=True, env=os.environ | {"PYTHONPATH": f"{tree}/src:{tree}/tests"})
            if done.returncode:
                told = [one for one in done.stdout.splitlines() if one.startswith(("FAILED", "ERROR"))]
                return told[0] if told else "it fails"
        return None
    finally:
        source.write_text(whole, "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="those whose name holds one of these, by commas")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="troth-accounts-") as place:
        tree = Path(place)
        quiet = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")
        for part in ("src/troth", "contracts", "tests/agents", "tests/ports", "tests/contracts/artefacts"):
            shutil.copytree(ROOT / part, tree / part, ignore=quiet)
        for name in ("pyproject.toml", "tests/conftest.py"):
            shutil.copy(ROOT / name, tree / name)
        (tree / "contracts" / "node_modules").symlink_to(ROOT / "contracts" / "node_modules")
        alive = []
        rules = [rule for rule in RULES if not asked.only or any(one in rule[0] for one in asked.only.split(","))]
        for what, path, old, new, first in rules:
            noticed = noticed_by(tree, path, old, new, first)
            print(f"{'killed' if noticed else 'SURVIVES'}: {what}: {noticed or 'nothing noticed'}", flush=True)
            if noticed is None or noticed == "it does not compile":
                alive.append(what)
    print(f"{len(rules) - len(alive)} of {len(rules)} killed")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main())
