"""Inputs made to fool an agent's model: what passes the verifiers, and what an account loses at most.

``make adversarial`` does the same with the Adversarial Robustness Toolbox, and prints the table.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from agents.adversarial import SURE, Floats, Zoo, fooled, zoo
from ports.books import key
from ports.gate_suite import DAY, NAMES, OWNER, PER_ACT, PER_DAY, SHOP, VERIFIERS, asking
from ports.gate_worlds import MemoryGateWorld
from troth.agents.gate import Confidence, Done
from troth.ledger.limits import Voice

ROOT = Path(__file__).parents[2]
PEER = ROOT / "build" / "art-venv" / "bin" / "python"
AGREE = 2
MOST = 0.01


def table(found: Zoo, made: dict[float, Floats]) -> dict[float, tuple[float, float, float]]:
    """By epsilon: wrong acts that pass with nobody asked, with two of three verifiers, and right ones that pass."""
    out = {}
    for epsilon, inputs in made.items():
        wrong, right = found.pass_(inputs, AGREE)
        out[epsilon] = (found.pass_(inputs, 0)[0], wrong, right)
        print(f"epsilon {epsilon}: {out[epsilon][0]:.2%} alone, {wrong:.2%} with verifiers; right ones {right:.1%}")
    return out


def lost(found: Zoo, inputs: Floats, days: int, most: int) -> list[int]:
    """What an account loses on each day to acts on these inputs, each a payment on a digit taken for another.

    The owner resets the breaker each time it trips, without a look.
    """
    world = MemoryGateWorld()
    world.fund(10**6)
    world.owner.limit(OWNER, asking(world))
    chosen, _ = found.acts(inputs)
    heard = found.heard(inputs, chosen)
    assert round(SURE * 10_000) == world.limits().confidence
    out = []
    for _ in range(days):
        world.advance(DAY)
        before = world.balance(SHOP)
        for at in np.flatnonzero(chosen != found.labels)[:most]:
            act = world.pay(SHOP, PER_ACT)
            asked = world.gate.asked(act)
            voices = tuple(Voice.sign(key(NAMES[one]), asked, int(heard[n][at] * 10_000), world.now() + 60)
                           for n, one in enumerate(VERIFIERS))
            done = world.gate.do(act, Confidence(voices))
            # The rule of ``Zoo.pass_`` is the account's.
            if not isinstance(done, Done) and done.reason not in ("OverAct", "OverDay"):
                assert (heard[:, at] >= SURE).sum() < AGREE
            if world.gate.state().standing.tripped:
                world.owner.reset(OWNER)
        out.append(world.balance(SHOP) - before)
    return out


def test_wrong_and_confident_acts_rarely_pass_others() -> None:
    found = zoo()
    made = table(found, {0.0: found.digits, 0.05: fooled(found, 0.05)})
    alone, wrong, _ = made[0.05]
    assert alone > 0.03  # the attack works: confidence of one's own is not enough
    assert wrong <= MOST
    assert made[0.0][2] > 0.7  # and most of the honest pass; the rest is asked of the owner


def test_the_loss_is_a_days_cap_at_any_epsilon() -> None:
    """At 0.5 the verifiers are fooled too, and the cap is all that holds; smaller ones with the toolbox, below."""
    losses = lost(zoo(), fooled(zoo(), 0.5), 2, 60)
    assert max(losses) <= PER_DAY
    assert min(losses) > PER_DAY - PER_ACT


@pytest.mark.slow
def test_with_the_adversarial_robustness_toolbox(tmp_path: Path) -> None:
    if not PEER.exists():
        pytest.skip("make adversarial makes the environment that this needs")
    found, epsilons = zoo(), (0.05, 0.1, 0.2, 0.5)
    weights = {f"w{at}": one for at, one in enumerate(found.actor.coefs_)}
    biases = {f"b{at}": one for at, one in enumerate(found.actor.intercepts_)}
    np.savez(tmp_path / "in.npz", digits=found.digits, labels=found.labels, epsilons=np.array(epsilons), **weights,
             **biases)
    subprocess.run([PEER, ROOT / "tests/agents/art_peer.py", tmp_path / "in.npz", tmp_path / "out.npz"], check=True,
                   capture_output=True, env={"PATH": os.environ["PATH"]})
    out = np.load(tmp_path / "out.npz")
    made = {epsilon: out[f"e{at}"].astype(float) for at, epsilon in enumerate(epsilons)}
    for epsilon, inputs in made.items():
        assert np.abs(inputs - found.digits).max() <= epsilon + 1e-6
    rates = table(found, {0.0: found.digits, **made})
    assert rates[0.05][0] > 0.03
    assert rates[0.05][1] <= MOST
    for inputs in made.values():
        losses = lost(found, inputs, 2, 200)
        print("lost on each day:", losses, "of at most", PER_DAY)
        assert max(losses) <= PER_DAY
