"""The examples run as their first lines say, and end as they should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")} | environment
    return subprocess.run([sys.executable, *map(str, words)], env=settings, check=False, capture_output=True, text=True,
                          timeout=300)


def test_every_example_is_run_here() -> None:
    consortia = {"consortium_hospitals.py", "consortium_mortgages.py", "consortium_appliances.py", "parts.py"}
    run_here = set(re.findall(r'run\(EXAMPLES / "(\w+\.py)"', Path(__file__).read_text("utf-8")))
    assert {path.name for path in EXAMPLES.glob("*.py")} == consortia | run_here  # those in test_consortia.py


def test_two_parties(tmp_path: Path) -> None:
    done = run(EXAMPLES / "two_parties.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "bob reads 20 bytes", "eve cannot: sealed, and no key for it was given to this party",
        "with the trust file: upheld", "without one: undecidable", "one digit changed: refuted at step 4, signatures"]


def test_agent_within_limits(tmp_path: Path) -> None:
    done = run(EXAMPLES / "agent_within_limits.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "within limits: refused NotOwners, refused NotOwners, done 40",
        "stopped: refused NotOwners, refused NotOwners, refused Stopped",
        "the printer has 40, the stranger 0, the account 960"]


def test_delivery_fleet(tmp_path: Path) -> None:
    done = run(EXAMPLES / "delivery_fleet.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "charged: done 27, done 36, refused OverAct",
        "honest says it arrived: an errand that its ladder has not settled", "honest: done, 120 earned",
        "liar says it arrived: an errand that its ladder has not settled",
        "liar: an errand that was not done; its owner lost 400"]


def test_pay_many(tmp_path: Path) -> None:
    done = run(EXAMPLES / "pay_many.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the list is there: 300 payees, 648 in all", "the worker collects 50",
        "another root: the payouts do not lead to the result's root",
        "the clerk gains -2000 and the worker who called 1000"]


def test_royalties(tmp_path: Path) -> None:
    """The careful half is paid more than equal shares, and wrong labels are found far better than by a guess."""
    done = run(EXAMPLES / "royalties.py", tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    anna, ben = (float(part.split()[-1].rstrip("%")) for part in lines[1].split(";")[0].split(","))
    assert anna > 55 > 45 > ben
    assert float(lines[2].split("AUC ")[1].split(";")[0]) > 0.9
    assert lines[3] == "was anna's work used? upheld"
    maker, first, second, _ = (int(part.split()[1]) for part in lines[4].split(", "))
    assert (maker, first + second) == (-4_000, 4_000)
    assert lines[5] == "the verifier finds: the payer answered with another root"
    assert lines[6] == f"maker -13000, anna +{first + 4_500 - 40}, ben +{second}, verifier +40"


def test_answers_by_x402(tmp_path: Path) -> None:
    done = run(EXAMPLES / "answers_by_x402.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "malignant: upheld by executing it again", "benign: upheld by executing it again",
        "benign: upheld by executing it again", "the clinic has +300", "the fourth: more than may be spent in a day",
        "the last payment, presented for the card: a payment for another resource",
        "the practice's receipt: a payment of 100, served: True"]


@pytest.mark.slow
def test_sell_annotations(tmp_path: Path) -> None:
    done = run(EXAMPLES / "sell_annotations.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Digits, labelled by hand: 1000, quality 0.94", "Digits, cheap: 700, quality 0.50",
        "opened: 500 rows, paid 1000", "anybody sees the licence: True",
        "rubbish, closed, refunded: the buyer gains 1717 and the seller -1750",
        "and opens nothing: this sale was refunded: there is no licence"]


def test_show_a_credential(tmp_path: Path) -> None:
    done = run(EXAMPLES / "show_a_credential.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "shown to lender.example: upheld",
        "the same again: an answer to no open request of this verifier: a replay, or never asked for",
        "without its post-quantum signature: refuted", "taken back: refuted"]


def test_explain_a_decision(tmp_path: Path) -> None:
    done = run(EXAMPLES / "explain_a_decision.py", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "keep their label" in lines[0]
    assert lines[1].startswith("answer malignant, score -")
    assert "explanation: computed again by shapley: the same numbers" in lines[-2]
    assert lines[-1] == "the changed reasons: refuted, the explanation is not what its method gives"


def test_watch_a_log(tmp_path: Path) -> None:
    done = run(EXAMPLES / "watch_a_log.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the friend sees 1 claim", "proven to be in the log, as one witness saw it: True", "the friend sees 2 claims",
        "the witness does not sign the other: the witness has seen another history of this log",
        "the friend proves it to anybody: two roots at size 2 True"]


def test_model_for_others(tmp_path: Path) -> None:
    done = run(EXAMPLES / "model_for_others.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "claim: run {'mse': {'step': 0, 'value': '2.05'}}",
        "bill of materials: 3 components, every sentence on 1 claim", "card: - mse: 2.05. [1]",
        "a nicer number: this document is not what these claims say", "signed: ('line.json',)",
        "another model: a file is not the one that was signed"]


def test_sell_a_secret() -> None:
    done = run(EXAMPLES / "sell_a_secret.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "revealed: the seller has 900 and the buyer 900 and the secret", "an hour of silence: refuted",
        "refunded: the seller has 900 and the buyer 900"]


def test_swap_across_chains(tmp_path: Path) -> None:
    done = run(EXAMPLES / "swap_across_chains.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "alice: 1000 silver, 0 gold, bob: 0 silver, 1000 gold",
        "bob waits: the maker's deposit is not there, or not final",
        "alice: deposited", "bob: deposited", "alice: revealed", "bob: revealed",
        "alice: 930 silver, 90 gold, bob: 70 silver, 910 gold",
        "alice: deposited", "alice waits: the taker has not deposited", "alice: refunded",
        "alice: 930 silver, 90 gold, bob: 70 silver, 910 gold"]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder that a round by hand leaves, and what it printed."""
    folder = tmp_path_factory.mktemp("by_hand")
    done = run(EXAMPLES / "round_by_hand.py", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_a_round_by_hand_pays_for_what_was_measured(by_hand: tuple[Path, list[str]]) -> None:
    said = by_hand[1]
    assert "doubts: [None, None, None]" in said
    assert "the verifier finds the same bits: True outcome 1" in said
    ends = {line.split()[0]: int(line.split()[-1]) for line in said if " ends with " in line}
    assert len(ends) == 6
    assert sum(ends.values()) == 6_000, "no token appears or vanishes"
    # The aggregator submits, so the keeper's share of judging is its own; the sponsor closes, and keeps the rest.
    assert ends["aggregator"] == 1_000 + 20 + 2
    assert sum(ends[f"hospital-{n}"] for n in (1, 2, 3)) == 3_000 + 300
    assert ends["sponsor"] == 1_000 - 300 - 20 - 5 + 3


def test_checking_a_model(by_hand: tuple[Path, list[str]]) -> None:
    folder = by_hand[0]
    stranger = run(EXAMPLES / "check_a_model.py", folder)
    assert stranger.returncode == 0, stranger.stderr
    assert "12 re-execution: round 1: skipped: not re-executed: sealed" in stranger.stdout
    for name, answer in (("verifier", "upheld: re-executed from 3 updates"), ("hospital-1", "skipped")):
        party = run(EXAMPLES / "check_a_model.py", folder, folder / name, TROTH_PASSPHRASE="play money")
        assert party.returncode == 0, party.stderr
        assert f"12 re-execution: round 1: {answer}" in party.stdout
    bundle = folder / "model.troth"
    kept = bundle.read_bytes()
    bundle.write_bytes(kept.replace(b'"rounds":1', b'"rounds":2'))
    assert run(EXAMPLES / "check_a_model.py", folder).returncode == 1
    bundle.write_bytes(kept)


def test_train_behind_masks() -> None:
    done = run(EXAMPLES / "train_behind_masks.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("paid 750, 750, 750, 750")
    assert lines[1].startswith("round 2: 3 of 4 in the sum")
    assert lines[1].endswith("paid 857, 857, 429, 857"), "by rounds taken part in"
    assert lines[2].startswith("a verifier checks the model's bundle: upheld, 2 rounds summed again")


def test_proven_answer(tmp_path: Path) -> None:
    done = run(EXAMPLES / "proven_answer.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the clinic commits to a model of 11 numbers and to a record of 10",
        "the answer: malignant, upheld by the buyer, who saw neither model nor record",
        "paid in the act that proved it: the clinic has +100",
        "a model that says benign to everybody: refuted; the clinic has -200, the buyer +200"]


def test_prove_fairness(tmp_path: Path) -> None:
    done = run(EXAMPLES / "prove_fairness.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the bank commits to 2380 decisions in 2 leaves; its gap is 5.2%, which it tells nobody",
        "upheld: at most 8 % apart, in 256 bytes, from 8721 constraints",
        "the other bank, its own decisions: the gap between the groups is above the limit",
        "the other bank, decisions it did not commit to: the request is about another commitment",
        "the other bank, the first bank's proof: a proof for another context",
        "the other bank, that proof with its own names on it: the proof does not hold"]


def test_hire_a_machine(tmp_path: Path) -> None:
    done = run(EXAMPLES / "hire_a_machine.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "hired: cheap, the cheapest of 2 that fit", "the client executes it again: executed again: other bytes",
        "refunded: client +270, honest +0, cheap -300, anna +15, ben +15",
        "hired: honest; the cheap one lost its stake lately",
        "executed again: the same bytes: 25 primes, 5312254 fuel",
        "paid: client +170, honest +100, cheap -300, anna +15, ben +15", "the first wrong step: 91"]
