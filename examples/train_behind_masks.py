"""Four hospitals train one model, and nobody sees an update but its owner: eight masked rounds, one of them with a
hospital that falls silent, each summed again from its transcript as a verifier would.

    python examples/train_behind_masks.py

Needs ``pip install 'troth[learn]'`` for the records. What a masked round can and cannot do: docs/reference/masking.md.
"""

from __future__ import annotations

import hashlib

from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook
from troth.learn import site
from troth.learn.arrays import digest, flatten
from troth.learn.data import scaling
from troth.learn.draws import seed_of
from troth.learn.engines.inprocess import InProcessEngine
from troth.learn.masked_round import MaskedInput, Terms, from_transcripts, round_name, run_masked_round, sessions
from troth.learn.masking.bonawitz import Bonawitz
from troth.learn.masking.port import over, run
from troth.learn.masking.server import BonawitzServer
from troth.learn.sets import consortium
from troth.learn.training import dense

ROUNDS, REWARD = 8, 1_000
PLAN, DEAL = hashlib.sha256(b"the plan's claim").digest(), hashlib.sha256(b"the round's deal").digest()


def main() -> int:
    """Print each round; 0 when the model has learned."""
    split = consortium(1)
    hospitals = sorted((HybridIdentity.create() for _ in split.sites), key=lambda one: one.did)
    keys, seats = KeyBook(one.history for one in hospitals), tuple(one.did for one in hospitals)
    task, by, fit, terms = dense(split.validation), scaling(split.validation), site.Fit(), Terms()
    base, history, score = task.start(seed_of(0)), (), 0
    for number in range(ROUNDS):
        # Everybody knows the session beforehand: whose sum it is, and for what.
        named = round_name(PLAN, DEAL, number + 1, digest(base))
        (session,) = sessions(terms, seats, seed_of(number), named, task, fit.clip)
        answers = {}
        for hospital, part in zip(hospitals, split.sites, strict=True):
            update = flatten(site.train(task, base, part, by, fit, seed_of(number)))
            end = Bonawitz().site(session, hospital.signer(), keys, update)
            answers[hospital.did] = end.answer
        if number == 3:
            del answers[seats[2]]
        server = BonawitzServer(session, keys, alike=True)
        run(server, over(InProcessEngine(answers), 60))

        # A verifier has the transcript and nothing else, and comes to the same bits.
        sums = from_transcripts([server.transcript()], keys, [session])
        out = run_masked_round(MaskedInput(task, base, seats, sums, split.validation, seed_of(number), REWARD, terms,
                                           history, clip=fit.clip))
        base, history, score = out.params, (*history, out.record), out.score
        print(f"round {number + 1}: {sum(out.record.counted)} of {len(seats)} in the sum, "
              f"{out.score / 10_000:.1f} % right, model {out.digest.hex()[:16]}")
    print("pay by rounds taken part in:", ", ".join(map(str, out.payments)))
    return 0 if score > 930_000 else 1


if __name__ == "__main__":
    raise SystemExit(main())
