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

RULES: list[tuple[str, str, str, str]] = [
    ("other limits pass", ACCOUNT, "if (keccak256(limits) != limitsHash) revert OtherLimits();", ""),
    ("a stopped account acts", ACCOUNT, "if (s.stopped) revert Stopped();", ""),
    ("a tripped account acts", ACCOUNT, "if (s.tripped) revert Tripped();", ""),
    ("limits do not end", ACCOUNT, "if (block.timestamp > l.expiry) revert Expired();", ""),
    ("an act does not end", ACCOUNT, "if (block.timestamp > what.deadline) revert Late();", ""),
    ("an act can be brought again", ACCOUNT, "uint64 nonce = s.nonce++;", "uint64 nonce = s.nonce;"),
    ("anybody's signature", ACCOUNT, "if (!_by(l.agent, _typed(message), signature)) revert BadSignature();", ""),
    ("no cap of an act", ACCOUNT, "if (amount > l.perAct) reason = OVER_ACT;", "if (false) reason = OVER_ACT;"),
    ("no cap of a day", ACCOUNT, "else if (spent + amount > l.perDay) reason = OVER_DAY;", ""),
    ("a day that never begins anew", ACCOUNT, "uint256 spent = s.day == today ? s.spent : 0;",
     "uint256 spent = s.spent;"),
    ("nothing is counted", ACCOUNT, "s.spent = uint128(spent + amount);", "s.spent = uint128(spent);"),
    ("nobody need be sure", ACCOUNT, "else if (sure < l.agree) reason = UNSURE;", ""),
    ("one voice too few", ACCOUNT, "else if (sure < l.agree)", "else if (sure + 1 < l.agree)"),
    ("a verifier counts twice", ACCOUNT, "heard |= 1 << place;", ""),
    ("any confidence", ACCOUNT, "if (voice.confidence < l.confidence || voice.confidence > WHOLE) continue;", ""),
    ("a late voice counts", ACCOUNT, "if (block.timestamp > voice.expiry) continue;", ""),
    ("a voice about anything", ACCOUNT, "if (!_by(l.verifiers[place], _typed(message), voice.signature)) continue;",
     ""),
    ("voices can be left out", ACCOUNT, "keccak256(abi.encode(voices)), what.deadline", "bytes32(0), what.deadline"),
    ("no strikes", ACCOUNT, "if (reason == UNSURE && ++s.strikes >= l.strikes) {",
     "if (reason == UNSURE && s.strikes >= l.strikes) {"),
    ("the breaker never trips", ACCOUNT, "s.tripped = true;", ""),
    ("a refusal leaves no trace", ACCOUNT, "emit Refused(nonce, what.target, reason, sure, what.data);",
     "revert Failed(what.data);"),
    ("anybody is the owner", ACCOUNT, "if (msg.sender != owner()) revert NotOwner();", ""),
    ("an account begins twice", ACCOUNT, "if (limitsHash != 0) revert Begun();", ""),
    ("the code is somebody's", ACCOUNT, "limitsHash = bytes32(uint256(1));", ""),
    ("the agent vouches for itself", ACCOUNT, "one == l.agent || ", ""),
    ("verifiers twice", ACCOUNT, "one <= last ||", "one < last ||"),
    ("a signature for another account", ACCOUNT, "keccak256(abi.encode(OWNED, hash))", "hash"),
    ("what a Book did not take stays allowed", ACCOUNT,
     "token.forceApprove(target, amount);", "token.forceApprove(target, type(uint256).max);"),
    ("a call that fails is done", ACCOUNT, "if (!ok || target.code.length == 0) revert Failed(answer);", ""),
    ("any call of the account itself", MONEY, "data.length != 4 || bytes4(data) != REFILL || ", ""),
    ("a refill without an end", MONEY, "held < l.fill ? l.fill - held : 0", "l.fill"),
    ("any call", MONEY, "data.length < 4 || !_listed(l.calls, target, bytes4(data))", "data.length < 4"),
    ("any target", MONEY, "calls[i].target == target && ", ""),
    ("any selector", MONEY, " && calls[i].selector == kind", ""),
    ("another token", MONEY, "if (size != 0) return (UNREADABLE, 0, payee);", ""),
    ("calls of the token that are unknown", MONEY, "size == 0 || ", "size != 0 && "),
    ("another form", MONEY, "rest.length != 32 * size", "rest.length < 32 * size"),
    ("dirty words", MONEY, "if (account > type(uint160).max) return (UNREADABLE, 0, l.token);", ""),
    ("any payee", MONEY, "return (_named(l, payee) ? 0 : NOT_PAYEE, amount, payee);", "return (0, amount, payee);"),
    ("a deal that pays anybody", MONEY, "_named(l, book) ? 0 : _reaches(l, terms, pot)", "0"),
    ("a residual that is anybody", MONEY, "if (!_known(l, pot.residual)) reason = NOT_PAYEE;", ""),
    ("a deal that pays whoever comes", MONEY, "uint160(account) > LAST_ROLE && _named(l, account)",
     "uint160(account) <= LAST_ROLE || _named(l, account)"),
    ("a root", MONEY, "if (rule.kind == 4) reason = NOT_PAYEE;", ""),
    ("another's pot", MONEY, "if (pot.depositor != address(this)) return (UNREADABLE, 0, book);", ""),
    ("a deal in another token", MONEY, "terms.token != l.token || ", ""),
]


def survives(tree: Path, path: str, old: str, new: str) -> str | None:
    """What noticed the mutant; None if nothing did."""
    source = tree / path
    whole = source.read_text("utf-8")
    if whole.count(old) != 1:
        raise SystemExit(f"{path}: not there once: {old}")
    source.write_text(whole.replace(old, new), "utf-8")
    try:
        if subprocess.run(["node", ROOT / "tests/mutants/accounts.mjs", tree], capture_output=True).returncode:
            return "it does not compile"
        done = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", *TESTS], cwd=tree, capture_output=True,
                              text=True, env=os.environ | {"PYTHONPATH": f"{tree}/src:{tree}/tests"})
        return next((line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "it fails") \
            if done.returncode else None
    finally:
        source.write_text(whole, "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="those whose name holds this")
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
        rules = [rule for rule in RULES if not asked.only or asked.only in rule[0]]
        for what, path, old, new in rules:
            noticed = survives(tree, path, old, new)
            print(f"{'killed' if noticed else 'SURVIVES'}: {what}: {noticed or 'nothing noticed'}", flush=True)
            if noticed is None or noticed == "it does not compile":
                alive.append(what)
    print(f"{len(rules) - len(alive)} of {len(rules)} killed")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main())
