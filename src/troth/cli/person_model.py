"""The second half of the story of ``troth demo person``: a model of the words, its answers for sale, and royalties."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from troth.agents.x402.budget import Limits, OverBudget
from troth.agents.x402.server import ShopServer
from troth.agents.x402.wire import PAYMENT
from troth.app.checking import verify_bundle
from troth.app.paying import collect_payouts
from troth.app.payments import budget, open_shop, payer, question, refill, take_answer
from troth.app.proving import check
from troth.app.royalties import Measure, Paying, challenge, check_use, contribute, join, judge, pay
from troth.app.royalties import answer as answer_run
from troth.app.royalties import check as check_run
from troth.app.running import Recorder
from troth.cli.person_story import PURSE, ROYALTY, VERIFIERS, PersonStory, features, fit
from troth.core.claims import Ref
from troth.core.terms import UPHELD, Result
from troth.core.verdicts import Outcome, Report
from troth.flows import royalties as flow
from troth.flows.royalty_words import Money

ANSWER_PRICE, ANSWERS = 100, 3
MONEY = Money(stake=200, bond=31, fee=30, verifier_stake=30)
SHOP = f"""
[[sell]]
path = "/valence"
price = {ANSWER_PRICE}
program = "valence.program"
show = true
description = "whether an English word is positive"
[[sell]]
path = "/card"
price = {ANSWER_PRICE}
file = "card.txt"
"""


@dataclass
class ModelStory:
    """What follows once the words are the agent's."""

    story: PersonStory
    model: bytes = b""
    scores: dict[str, float] = field(default_factory=dict)
    earned: int = 0

    def train(self) -> None:
        """A model of the bought words, as a program of integers, and what it is worth on words nobody trained on."""
        from troth.compute.models import quantise  # an extra's, and slow to load
        from troth.compute.models.sklearn import of_sklearn

        story, agent = self.story, self.story["agent"]
        table = story.made["table"]
        fitted = fit(table["word"], table["valence"])
        known = features(table["word"])
        program = quantise(of_sklearn(fitted), known, answers=fitted.predict(known)).program
        unseen = features([word for word, _ in story.made["unseen"]])
        right = np.array([value > 0 for _, value in story.made["unseen"]])
        inside = ((program.low <= unseen) & (unseen <= program.high)).all(axis=1)
        guess = max(right[inside].mean(), 1 - right[inside].mean())
        found = program.labels(program.run(unseen[inside])) == right[inside]
        self.scores = {"accuracy": float(found.mean()), "naive": float(guess), "words": int(inside.sum())}
        shop = story.out / "shop"
        shop.mkdir(exist_ok=True)
        (shop / "valence.program").write_bytes(program.to_bytes())
        (shop / "card.txt").write_text("A logistic regression over runs of letters.")
        (shop / "shop.toml").write_text(SHOP)
        listing = agent.statement(story.made["bought"]).ref("listing")
        with Recorder(lambda: nullcontext(agent), "fit", [Ref("data", listing)]) as run:
            run.metric("accuracy", self.scores["accuracy"])
            run.model(shop / "valence.program")
        assert run.claim is not None
        self.model = run.claim
        claim, _ = contribute(agent, self.model, 100 * ROYALTY, Measure(declared={listing: 1}))
        story.receive()
        agent.send(story.dids("linguist", *VERIFIERS), [listing, self.model, claim], agent.evidence_here([self.model]))
        story.receive()
        story.teller.say(f"a model of integers: {self.scores['accuracy']:.1%} right on {self.scores['words']} words "
                         f"that nobody trained on; always saying the commoner answer: {self.scores['naive']:.1%}")

    def sell(self) -> None:
        """Answers over HTTP, paid by signed payments for that answer alone."""
        story, agent, reader = self.story, self.story["agent"], self.story["reader"]
        refill(reader, 500)
        asked = [word for word, _ in story.made["unseen"][:ANSWERS + 1]]
        with budget(reader) as spends, payer(reader, spends) as paying:
            spends.allow(story.chain.chain_id, story.token.address,
                         Limits(ANSWER_PRICE, ANSWERS * ANSWER_PRICE, ANSWERS * ANSWER_PRICE))
            before = story.token.balance(agent.account)
            with open_shop(agent, story.out / "shop" / "shop.toml") as shop, ShopServer(shop) as server:
                for word in asked[:ANSWERS]:
                    bought = paying.post(f"{server.url}/valence", question(reader, features([word])[0].tolist()),
                                         most=ANSWER_PRICE)
                    said = json.loads(bought.body)
                    found = check(reader, take_answer(reader, bought))
                    positive = said["label"] in ("1", "True", "true")
                    story.teller.say(f"{word!r} is {'positive' if positive else 'not positive'}: "
                                     f"{found.outcome}, executed again by its buyer")
                try:
                    paying.post(f"{server.url}/valence", question(reader, features([asked[-1]])[0].tolist()),
                                most=ANSWER_PRICE)
                except OverBudget as error:
                    story.teller.say(f"a fourth: {error.message.partition(' of token')[0]}; nothing is signed")
                self._elsewhere(server.url, bought.spending.header if bought.spending else "")
            self.earned = story.token.balance(agent.account) - before

    def _elsewhere(self, url: str, header: str | None) -> None:
        """The same payment, presented for something else."""
        try:
            urlopen(Request(f"{url}/card", headers={PAYMENT: header or ""}))  # noqa: S310  (loopback, http)
        except HTTPError as error:
            told = json.loads(error.read())["error"]
            self.story.teller.say(f"the reader presents its last payment for the card: {told.partition(';')[0]}")
        else:
            raise AssertionError("a payment for an answer opened something else")

    def royalties(self) -> None:
        """The linguist's part; first a run that keeps it back, where there are cheats."""
        story, agent = self.story, self.story["agent"]
        if story.cheat:
            before = story.token.balance(agent.account)
            self._run(honest=False)
            story.teller.say(f"the shop first reports that it owes nobody: challenged, executed again, "
                             f"{story.token.balance(agent.account) - before:+} for the shop")
        before = story.token.balance(story["linguist"].account)
        self._run(honest=True)
        gained = story.token.balance(story["linguist"].account) - before
        story.teller.say(f"of {self.earned} that the answers earned the linguist collects {gained:+}")

    def _run(self, honest: bool) -> None:
        story, agent, linguist = self.story, self.story["agent"], self.story["linguist"]
        run = pay(agent, Paying(self.model, self.earned, story.token.address, story.dids(*VERIFIERS), MONEY))
        story.receive()
        for name in VERIFIERS:
            join(story[name], run.deal)
        if honest:
            answer_run(agent, run.deal)
        else:
            flow.answer(agent, run.claim, Result(UPHELD))  # upheld, and nobody is paid
        story.receive()
        if check_run(linguist, run.deal).outcome is Outcome.UPHELD:
            story.chain.advance(86_400)
        else:
            challenge(linguist, run.deal)
            answer_run(agent, run.deal)
            for name in VERIFIERS * 2:
                story[name].receive()
                judge(story[name], run.deal)
            linguist.book.judge(linguist.account, run.deal)
        linguist.book.close(linguist.account, run.deal)
        linguist.receive()
        collect_payouts(linguist, run.deal)

    def publish(self) -> tuple[Path, Path, Report]:
        """The model's bundle and a trust file; what anybody finds in it."""
        story, agent = self.story, self.story["agent"]
        agent.anchor()
        bundle, trust = story.out / "model.troth", story.out / "trust.json"
        agent.bundle(self.model, bundle)
        believed = agent.trust({"shop": [agent.did], "linguist": [story["linguist"].did]}, agent.log_pin(),
                               {"name": "attested"})
        trust.write_bytes(believed.to_bytes())
        return bundle, trust, verify_bundle(bundle, believed)

    def used(self) -> Report:
        """Whether the linguist's work is in the model, as the linguist finds it."""
        linguist = self.story["linguist"]
        listing = linguist.statement(self.story.made["offer"]).ref("listing")
        return check_use(linguist, listing, self.model)

    def summary(self, seconds: float) -> dict[str, Any]:
        """What ``--json`` prints."""
        story = self.story
        return {"story": "person", "seconds": round(seconds, 1), "cheat": story.cheat, "gains": story.gains(),
                "purse": PURSE, "model": self.model.hex(), **self.scores, "earned": self.earned}
