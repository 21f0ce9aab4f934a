"""ROUND.toml: what a sponsor wants trained, by whom and for how much; and what of it is fixed before anybody joins."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.core.encoding import amount, from_hex, take
from troth.core.errors import BadInput, unreadable
from troth.core.terms import Account
from troth.flows.parts import Pin
from troth.flows.terms import Money, Periods, Words
from troth.learn.aggregate import NAMES, RULES, default_rule
from troth.learn.claims import Plan, Seat
from troth.learn.code import Code
from troth.learn.data import Schema
from troth.learn.draws import seed_of
from troth.learn.masking.terms import GROUPED, MASKED, OPEN, Noise, Terms
from troth.learn.privacy.client import SiteNoise
from troth.learn.privacy.ledger import Budget
from troth.learn.privacy.mechanisms import delta_text, micro
from troth.learn.round import MAX_CLIP
from troth.learn.site import Fit
from troth.learn.tasks import task_of
from troth.learn.worth import MAX_PLAYERS

if TYPE_CHECKING:
    from troth.ledger.deploy import Contracts

COMMONS = hashlib.sha256(b"troth commons of rounds").digest()[:20]
"""Where bonds of wrong challengers go: nobody holds a key for it."""
MONEY = ("reward", "fee", "keeper", "site_stake", "aggregator_stake", "verifier_stake", "verifier_fee", "bond")
PERIODS = ("fund", "answer", "verdict", "window")
MAX_VERIFIERS = 9
WORTH, RECORDS = "worth", "records"
MODES = (OPEN, MASKED, GROUPED)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What is asked of whoever takes part, before the seats are known. It stands in the invitation as it is here.

    sites, verifiers: how many there will be. token: the ERC-20 that all is paid in; empty for the demonstration one.
    pay: by WORTH alone, or by worth and RECORDS, how many each invitation says that a site has: what a file means that
    names neither, where updates are open.
    """

    name: str
    schema: Schema
    task: Mapping[str, Any]
    fit: Mapping[str, Any]
    rounds: int
    rule: str
    clip: int
    seed: bytes
    privacy: str
    money: Money
    periods: Periods
    sites: int
    verifiers: int
    masking: Terms | None = None
    token: Account = b""
    pay: str = WORTH

    def json(self) -> dict[str, Any]:
        """Canonical JSON's object; money is text."""
        return {"clip": self.clip, "fit": dict(self.fit),
                "money": {name: str(getattr(self.money, name)) for name in MONEY}, "name": self.name,
                "periods": {name: getattr(self.periods, name) for name in PERIODS}, "privacy": self.privacy,
                "rounds": self.rounds, "rule": self.rule, "schema": self.schema.json(), "seed": self.seed.hex(),
                "sites": self.sites, "task": dict(self.task), "verifiers": self.verifiers,
                **({} if self.masking is None else {"masking": self.masking.json()}),
                **({"token": self.token.hex()} if self.token else {}),
                **({"pay": self.pay} if self.pay != WORTH else {})}

    @classmethod
    def of(cls, value: dict[str, Any]) -> Agreed:
        """Read ``json`` back. Raises BadInput, and Misuse where a stake would not deter."""
        masked = value.get("privacy") != OPEN
        masking = value.get("masking") if masked else None
        coin = from_hex(value["token"], 20) if "token" in value else b""
        pay = value.get("pay", WORTH)
        value = {key: one for key, one in value.items() if key not in ("token", "pay")
                 and (key != "masking" or not masked)}
        clip, fit, money, name, periods, privacy, rounds, rule, schema, seed, sites, task, verifiers = take(
            value, clip=int, fit=dict, money=dict, name=str, periods=dict, privacy=str, rounds=int, rule=str,
            schema=dict, seed=str, sites=int, task=dict, verifiers=int)
        amounts = take(money, **dict.fromkeys(MONEY, str))
        seconds = take(periods, **dict.fromkeys(PERIODS, int))
        found = cls(name, Schema.of(schema), task, fit, rounds, rule, clip, from_hex(seed, 32), privacy,
                    Money(*map(amount, amounts)), Periods(*seconds), sites, verifiers,
                    Terms.of(privacy, masking) if masked else None, coin, pay)
        found.check()
        return found

    def check(self) -> None:
        """Raises BadInput for what no round could be, and Misuse where a stake would not deter."""
        names = NAMES if self.masking is None else tuple(RULES)
        for what, ok, expected, actual in (
                ("rounds", 1 <= self.rounds <= 10_000, "1 to 10000", self.rounds),
                ("sites", 2 <= self.sites <= MAX_PLAYERS, f"2 to {MAX_PLAYERS}", self.sites),
                ("verifiers", 1 <= self.verifiers <= MAX_VERIFIERS, f"1 to {MAX_VERIFIERS}", self.verifiers),
                ("rule", self.rule in names, ", ".join(names), self.rule),
                ("clip", 1 <= self.clip <= MAX_CLIP, f"up to {MAX_CLIP / 65536:g}", self.clip / 65536),
                ("privacy", self.privacy in MODES, ", ".join(MODES), self.privacy),
                ("pay", self.pay == WORTH or (self.pay == RECORDS and self.masking is None),
                 f"{WORTH}, or in open rounds {RECORDS}", self.pay),
                ("periods", all(1 <= getattr(self.periods, name) < 1 << 32 for name in PERIODS), "seconds from 1 on",
                 self.periods)):
            if not ok:
                raise BadInput(f"{what}: not possible", expected=expected, actual=actual)
        if self.masking is not None:
            self.masking.check_seats(self.sites)
            if self.masking.stakes:
                raise BadInput("stakes of seats that nobody has yet", expected="none", actual=len(self.masking.stakes))
        task_of(self.task, self.schema)
        Fit.of(self.fit, self.clip)
        self.money.check(self.sites, self.verifiers)

    def plan(self, sites: tuple[Seat, ...], aggregator: Seat, verifiers: tuple[Seat, ...],
             records: tuple[int, ...] = ()) -> Plan:
        """The plan among these. records: of each site, by DID, where pay goes by them."""
        return Plan(tuple(sorted(sites, key=lambda seat: seat.did)), aggregator, verifiers, self.rounds,
                    self.money.reward, self.rule, self.clip, self.seed, self.privacy, dict(self.task), dict(self.fit),
                    self.masking, records if self.pay == RECORDS else ())

    def words(self, contracts: Contracts, sponsor: Account) -> Words:
        """The words of every round's deal. Raises BadInput where the contracts lack what it needs."""
        assumed, rerun = contracts["assumed"], contracts[f"rerun:{self.quorum}"]
        coin = self.token or contracts["token"].address
        return Words(coin, sponsor, COMMONS, Pin.of(assumed), Pin.of(rerun), self.money, self.periods)

    @property
    def quorum(self) -> int:
        """How many verifiers must agree."""
        return self.verifiers // 2 + 1


@dataclass(frozen=True, slots=True)
class RoundFile:
    """A ROUND.toml. sites: local ones' files by name, or none where they are invited.

    invited_verifiers: how many of the verifiers come by invitation; the others are parties of the sponsor's folder.
    post: the address of the post office that invited sites are met at. chain: the URL that they reach the chain at.
    sponsor_stakes: whether the sponsor pays the stakes of its folder's parties too, of a token that the file names.
    budget: what local sites allow to be spent on their records' privacy; None for no budget.
    """

    path: Path
    agreed: Agreed
    validation: Path
    sites: Mapping[str, Path] = field(default_factory=dict)
    post: str = ""
    chain: str = ""
    invited_verifiers: int = 0
    sponsor_stakes: bool = False
    budget: Budget | None = None

    @property
    def invited(self) -> bool:
        """Whether the sites come by invitation."""
        return not self.sites


def load(path: Path | str) -> RoundFile:
    """Read a ROUND.toml strictly; file names in it are relative to its folder.

    Raises BadInput for what cannot be read, is unknown, missing or out of range, each with what was expected; Misuse
    where a stake would not deter; OutsideFailed.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path} is no TOML", actual=error, do="docs/reference/joining.md shows one.") from None
    return read(given, path)


def read(given: Mapping[str, Any], path: Path | str) -> RoundFile:
    """As ``load``, from the tables themselves; ``path`` is where file names are relative to."""
    path = Path(path)
    reader = _Reader(given, path.name)
    what = reader.table("round", name=(str, "a round"), rounds=(int, 8), rule=(str, ""), clip=(_real, "2.0"),
                        seed=(int, 1), privacy=(str, OPEN), pay=(str, ""))
    schema = reader.table("schema", columns=(_names, None), decimals=(int, None), label=(str, "label"),
                          classes=(_names, ()), source=(str, ""))
    task = reader.open_table("task", {"family": "dense", "hidden": []})
    fit = reader.table("fit", steps=(int, 10), rate=(_real, "0.2"), decay=(_real, "0.003"), batch=(int, 0))
    money = reader.table("money", **{name: (_amount, None) for name in MONEY})
    default = Periods()
    periods = reader.table("periods", **{name: (int, getattr(default, name)) for name in PERIODS})
    validation = reader.table("validation", file=(str, None))
    verifiers = reader.table("verifiers", count=(int, 3))
    sites = reader.open_table("sites", {})
    invited = reader.table("invited", sites=(int, 0), verifiers=(int, 0), post=(str, ""), chain=(str, ""))
    coin = reader.table("token", address=(_address, b""), stakes=(str, "own"))
    if coin["stakes"] not in ("own", "sponsor") or (coin["address"] and sites):
        raise BadInput(f"{path.name} [token]", actual=coin["stakes"], expected='stakes = "own" or "sponsor"; an '
                       "address, where sites are invited to a chain of its own")
    if bool(sites) == bool(invited["sites"]):
        raise BadInput(f"{path.name} needs its sites in one way", actual="both" if sites else "neither",
                       expected="[sites] NAME = FILE, or [invited] sites = N")
    if invited["sites"] and not (invited["post"] and invited["chain"]):
        raise BadInput(f"{path.name}: invited sites need places to reach", expected="[invited] post and chain, URLs",
                       actual={name: invited[name] for name in ("post", "chain")})
    if not 0 <= invited["verifiers"] <= verifiers["count"] or (invited["verifiers"] and sites):
        raise BadInput(f"{path.name} [invited] verifiers", actual=invited["verifiers"],
                       expected=f"0 to {verifiers['count']}, the [verifiers] count, where sites are invited too")
    files = {}
    for name, file in sites.items():
        if type(file) is not str or not name.replace("-", "").isalnum() or not name.isascii() or len(name) > 40:
            raise BadInput(f"{path.name} [sites] {name}",
                           expected="a name of letters, digits and -, at most 40, and a file",
                           actual=f"{name} = {file!r}")
        files[name] = path.parent / file
    clip = round(float(what["clip"]) * 65536)
    if "file" in task:  # the sponsor's own file of code, which it names here knowingly; a plan names it by digest
        family, file = take(task, family=str, file=str)
        if family != Code.FAMILY:
            raise BadInput(f"{path.name} [task] file", expected=f'family = "{Code.FAMILY}"', actual=family)
        task = Code.propose(path.parent / file, len(schema["classes"]), seed_of(what["seed"])).json()
    masking, budget = _masking(reader, what["privacy"], clip, path.name)
    reader.end()
    rule = what["rule"] or default_rule(str(task.get("family")) if what["privacy"] == OPEN else "")
    agreed = Agreed(what["name"], Schema(tuple(schema["columns"]), schema["decimals"], schema["label"],
                                         tuple(schema["classes"]), schema["source"]),
                    task, fit, what["rounds"], rule, clip, seed_of(what["seed"]), what["privacy"],
                    Money(**money), Periods(**periods), len(files) or invited["sites"], verifiers["count"], masking,
                    coin["address"], what["pay"] or (RECORDS if what["privacy"] == OPEN else WORTH))
    agreed.check()
    return RoundFile(path, agreed, path.parent / validation["file"], files, invited["post"], invited["chain"],
                     invited["verifiers"], coin["stakes"] == "sponsor", budget)


def _masking(reader: _Reader, privacy: str, clip: int, name: str) -> tuple[Terms | None, Budget | None]:
    """What the tables say of rounds behind masks, None for open ones; and what local sites allow to be spent.

    Raises BadInput.
    """
    given, noise = reader.table("masking", group=(int, 0)), reader.open_table("noise", {})
    if privacy == OPEN:
        if given["group"] or noise:
            raise BadInput(f"{name} [masking] and [noise] are of rounds behind masks", actual=privacy,
                           expected='[round] privacy = "masked" or "grouped"')
        return None, None
    if privacy not in MODES:
        raise BadInput(f"{name} [round] privacy: not possible", expected=", ".join(MODES), actual=privacy)
    if not noise:
        return Terms(privacy, given["group"]), None
    asked = _Reader({"noise": noise}, name).table("noise", multiplier=(_real, None), relied=(int, None),
                                                  epsilon=(_real, "0"), delta=(_real, "0.00001"))
    share = SiteNoise.together(clip, float(asked["multiplier"]), asked["relied"])
    budget = Budget(micro(asked["epsilon"]), delta_text(asked["delta"])) if float(asked["epsilon"]) else None
    return Terms(privacy, given["group"], noise=Noise(share.sigma, share.relied)), budget


class _Reader:
    """Tables of a file, each read once; what is left at the end is unknown."""

    def __init__(self, given: Mapping[str, Any], name: str) -> None:
        self._left, self._name = dict(given), name

    def open_table(self, section: str, default: dict[str, Any]) -> dict[str, Any]:
        """A table whose keys somebody else reads."""
        found = self._left.pop(section, default)
        if type(found) is not dict:
            raise BadInput(f"{self._name}: {section} is no table", expected=f"[{section}]", actual=type(found).__name__)
        return dict(found)

    def table(self, section: str, **keys: tuple[Any, Any]) -> dict[str, Any]:
        """A table with these keys: (type, or what reads it; its default, or None where it must be there)."""
        given, found = self.open_table(section, {}), {}
        for name, (kind, default) in keys.items():
            value = given.pop(name, default)
            if value is None:
                raise BadInput(f"{self._name} [{section}] lacks {name}", expected=f"{name} = …")
            if isinstance(kind, type):
                if type(value) is not kind:
                    raise BadInput(f"{self._name} [{section}] {name}", expected=kind.__name__,
                                   actual=f"{type(value).__name__} {str(value)[:40]!a}")
                found[name] = value
            else:
                found[name] = kind(value, f"{self._name} [{section}] {name}")
        if given:
            raise BadInput(f"{self._name} [{section}] has keys that mean nothing", expected=", ".join(keys),
                           actual=", ".join(sorted(given)))
        return found

    def end(self) -> None:
        if self._left:
            raise BadInput(f"{self._name} has tables that mean nothing", actual=", ".join(sorted(self._left)),
                           expected="round, schema, task, fit, money, token, periods, validation, verifiers, sites, "
                                    "invited, masking, noise")


def _real(value: Any, where: str) -> str:
    if type(value) not in (int, float, str):
        raise BadInput(where, expected="a number", actual=type(value).__name__)
    try:
        if float(value) != float(value) or abs(float(value)) > 1e9:
            raise ValueError
    except ValueError:
        raise BadInput(where, expected="a number", actual=str(value)[:40]) from None
    return str(value)


def _address(value: Any, where: str) -> Account:
    if value == b"":
        return b""
    text = value.removeprefix("0x") if type(value) is str else ""
    try:
        return from_hex(text.lower(), 20)
    except BadInput:
        raise BadInput(where, expected="an ERC-20's address, 0x and 40 hex digits", actual=str(value)[:60]) from None


def _amount(value: Any, where: str) -> int:
    if type(value) is int and value >= 0:
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 39:
        return int(value)
    raise BadInput(where, expected="an amount in the token's smallest unit, as a number or as text", actual=value)


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or any(type(one) is not str for one in value):
        raise BadInput(where, expected="a list of texts", actual=type(value).__name__)
    return tuple(value)

