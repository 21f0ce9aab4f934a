"""Deals by Mandated on both Books, what was tried against them, and the gas of every policy at its widest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_abi.abi import encode

from ports.books import MINT, READINGS, TELLER, MemoryWorld, World, account, key
from ports.evm_world import DEPLOYER, EvmWorld, call_data
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused
from troth.core.terms import (
    ENTRY,
    REFUTED,
    RUNG,
    SLASHED,
    UPHELD,
    Account,
    Ask,
    Entry,
    Pot,
    Result,
    Rung,
    Split,
    Terms,
)
from troth.ledger.chains.rpc import request
from troth.ledger.memory import Policy
from troth.ledger.sending import call
from troth.verify.policies.assumed import Assumed
from troth.verify.policies.mandated import Mandate, Mandated, act_data
from troth.verify.policies.preimage import hash_lock
from troth.verify.policies.quote import quote_data
from troth.verify.policies.readings import Reading
from troth.verify.policies.voices import commit_data, reveal_data, verdict_data
from troth.verify.policies.vote import TALLY, token_param
from verify_policies.cases import DEAL, said

PRINCIPAL, AGENT, SHOP, COURT = (account(name) for name in ("principal", "agent", "shop", "court"))
HOUR, SALT, CLAIM = 3600, b"\x05" * 32, b"\x11" * 32
Revoke = Callable[[bytes], None]


@pytest.fixture(params=["memory", "contract"])
def scene(request: pytest.FixtureRequest) -> tuple[World, Revoke]:
    """A world of each kind, and how the principal takes a mandate back in it."""
    if request.param == "memory":
        memory = MemoryWorld()
        taken: dict[tuple[Account, bytes], int] = {}
        at = memory.addresses
        address, codehash = at.policies["mandated"]
        memory.book.policies[address] = Policy(codehash, Mandated(
            Assumed(), at.chain_id, at.book, True, lambda who, digest: taken.get((who, digest), 0)))
        return memory, lambda digest: taken.setdefault((PRINCIPAL, digest), memory.now()) and None
    world: EvmWorld = request.getfixturevalue("on_chain")
    asked = call(world.web3, world.addresses.policies["mandated"][0], call_data("revocations()"))
    return world, lambda digest: (world.send(PRINCIPAL, asked[12:], "revoke(bytes32)", digest), None)[1]


def mandate(world: World) -> Mandate:
    return Mandate(PRINCIPAL, AGENT, "purchase", 500, world.now() + HOUR, SALT)


def errand(world: World, policy: str = "mandated", staked: bool = True) -> Terms:
    """An agent buys for its principal; the shop is paid if the act was covered and the agent says it was done."""
    at = world.addresses
    rung = Rung(*at.policies[policy], (Ask("act", (AGENT,), 2 * HOUR), Ask("result", None, HOUR)), HOUR,
                silent=UPHELD, param=mandate(world).digest(at.chain_id, at.book))
    pots = [Pot("price", PRINCIPAL, 500, {UPHELD: Split((SHOP,), amounts=(500,))})]
    if staked:
        pots.append(Pot("stake", AGENT, 100, {SLASHED: Split((PRINCIPAL,), weights=(1,))}))
    return Terms(world.token, tuple(pots), (rung,), world.now() + HOUR, COURT)


def begun(world: World, terms: Terms) -> bytes:
    for who in (PRINCIPAL, AGENT):
        world.fund(who)
    deal: bytes = world.book.open(PRINCIPAL, terms, SALT)  # type: ignore[attr-defined]
    for index, pot in enumerate(terms.pots):
        world.book.join(pot.depositor, deal, index)  # type: ignore[attr-defined]
    return deal


def act(world: World, deal: bytes, what: Mandate, *, kind: str = "purchase", amount: int = 500) -> None:
    """The agent acts, and says that it is done."""
    at = world.addresses
    signature = key("principal").sign_digest(what.digest(at.chain_id, at.book))
    book = world.book
    book.submit(AGENT, deal, 0, 0, CLAIM, act_data(kind, amount, what, signature))  # type: ignore[attr-defined]
    book.submit(AGENT, deal, 1, 0, CLAIM, Result(UPHELD).to_bytes())  # type: ignore[attr-defined]


def ended(world: World, deal: bytes) -> tuple[int, int, int]:
    """What the principal, the agent and the shop gained."""
    world.book.close(COURT, deal)  # type: ignore[attr-defined]
    return world.balance(PRINCIPAL) - MINT, world.balance(AGENT) - MINT, world.balance(SHOP)


def test_a_covered_act_pays(scene: tuple[World, Revoke]) -> None:
    world, _ = scene
    what, deal = mandate(world), begun(world, errand(world))
    act(world, deal, what)
    assert world.book.judge(COURT, deal) == Result(UPHELD)
    assert ended(world, deal) == (-500, 0, 500)


@pytest.mark.parametrize(("kind", "amount", "late"), [("purchase", 501, 0), ("gift", 1, 0), ("purchase", 1, HOUR + 1)])
def test_an_act_outside_the_mandate_costs_the_stake(scene: tuple[World, Revoke], kind: str, amount: int,
                                                    late: int) -> None:
    """Too much, of another kind, or after the expiry: refuted, though the agent says it was done, and slashed."""
    world, _ = scene
    what, deal = mandate(world), begun(world, errand(world))
    world.advance(late)
    act(world, deal, what, kind=kind, amount=amount)
    assert world.book.judge(COURT, deal) == Result(REFUTED, slashed=frozenset({AGENT}))
    assert ended(world, deal) == (100, -100, 0)


def test_a_mandate_taken_back(scene: tuple[World, Revoke]) -> None:
    """Before the act it counts; from the second of the act on it comes too late, however late the judge is."""
    world, revoke = scene
    what, at = mandate(world), world.addresses
    digest = what.digest(at.chain_id, at.book)
    deal = begun(world, errand(world))
    act(world, deal, what)
    revoke(digest)
    assert world.book.judge(COURT, deal) == Result(UPHELD)
    terms = errand(world)
    other = replace(terms, rungs=(replace(terms.rungs[0], param=digest),))
    late = world.book.open(AGENT, other, SALT)
    for index, pot in enumerate(other.pots):
        world.book.join(pot.depositor, late, index)
    world.advance(1)
    act(world, late, what)
    assert world.book.judge(COURT, late).outcome == REFUTED


def test_an_agent_that_says_nothing(scene: tuple[World, Revoke]) -> None:
    """Silence of an agent is no act: refuted, whatever the terms say of a silent rung."""
    world, _ = scene
    deal = begun(world, errand(world))
    world.advance(3 * HOUR)
    assert world.book.judge(COURT, deal).outcome == REFUTED
    assert ended(world, deal) == (100, -100, 0)


def test_slashing_needs_a_stake(scene: tuple[World, Revoke]) -> None:
    """Of an agent without a deposit the Book takes no slashing verdict, so such deals need a policy that slashes
    nobody: with it, the act is refuted all the same.
    """
    world, _ = scene
    what, deal = mandate(world), begun(world, errand(world, staked=False))
    act(world, deal, what, amount=501)
    with pytest.raises(ActRefused) as error:
        world.book.judge(COURT, deal)
    assert error.value.code == "BadResult"
    terms = errand(world, "mandatedp", staked=False)
    other = world.book.open(AGENT, terms, SALT)
    world.book.join(PRINCIPAL, other, 0)
    act(world, other, mandate(world), amount=501)
    assert world.book.judge(COURT, other) == Result(REFUTED)


def test_a_contract_gives_a_mandate(on_chain: EvmWorld) -> None:
    """ERC-1271, as a company's wallet would."""
    world, at = on_chain, on_chain.addresses
    wallet = world.make("Wallet")
    what = replace(mandate(world), principal=wallet)
    digest = what.digest(at.chain_id, at.book)
    terms = errand(world)
    terms = replace(terms, rungs=(replace(terms.rungs[0], param=digest),))
    world.send(DEPLOYER, wallet, "sign(bytes32)", digest)
    deal = begun(world, terms)
    world.book.submit(AGENT, deal, 0, 0, CLAIM, act_data("purchase", 1, what, b"any"))
    world.book.submit(AGENT, deal, 1, 0, CLAIM, Result(UPHELD).to_bytes())
    assert world.book.judge(COURT, deal) == Result(UPHELD)


def test_revocations_are_of_who_writes_them(on_chain: EvmWorld) -> None:
    """Nobody takes back another's mandate, nor moves the time at which it was taken back."""
    world = on_chain
    where = world.make("Revocations")

    def at(who: Account) -> int:
        return int.from_bytes(call(world.web3, where, call_data("revokedAt(address,bytes32)", who, SALT)), "big")

    world.send(AGENT, where, "revoke(bytes32)", SALT)
    assert (at(PRINCIPAL), at(AGENT)) == (0, world.now())
    world.advance(5)
    with pytest.raises(ActRefused):
        world.send(AGENT, where, "revoke(bytes32)", SALT)
    assert at(AGENT) == world.now() - 5


def widest(world: EvmWorld) -> dict[str, tuple[Rung, list[Entry]]]:
    """For each policy a rung whose history is as long as one may be and costs it most."""
    bench = tuple(sorted(account(f"seat {n}") for n in range(32)))
    wallets = tuple(sorted(world.make("Wallet") for _ in range(32)))
    for wallet in wallets:
        world.send(DEPLOYER, wallet, "set(uint256)", 1)
    two = (Ask("commit", bench, 20), Ask("reveal", None, 20))
    good = Result(UPHELD, tuple(range(9)))

    def steps(data: Callable[[int], bytes]) -> list[Entry]:
        shown = [(who, data(n)) for n, who in enumerate(bench)]
        return [*(said(who, 0, commit_data(DEAL, 1, who, one, SALT)) for who, one in shown),
                *(said(who, 1, reveal_data(one, SALT)) for who, one in shown)]

    def after(ask: Ask, data: Callable[[int], bytes], param: bytes = bytes(32)) -> tuple[Rung, list[Entry]]:
        """32 large pieces of evidence, then 32 voices."""
        first = Ask("evidence", bench, 20)
        return (Rung(bytes(20), bytes(32), (first, ask), 10, param=param),
                [*(said(who, 0, bytes(4096)) for who in bench),
                 *(said(who, 1, data(n)) for n, who in enumerate(ask.who or ()))])

    readings = [Reading(n * n % 37, 900_000, 1500).data() for n in range(32)]
    plain = Rung(bytes(20), bytes(32), two, 10)
    return {
        "rerun17": (plain, steps(lambda n: good.to_bytes())),
        "quorum17": (plain, steps(lambda n: readings[0] if n > 14 else readings[n])),
        "median17": (plain, steps(lambda n: readings[n])),
        "signed17": after(Ask("verdict", wallets, 20), lambda n: verdict_data(good.to_bytes(), 2**40, bytes(65))),
        "quote17": after(Ask("quote", wallets, 20), lambda n: quote_data(good.to_bytes(), SALT, 2**40, bytes(65)),
                         CLAIM),
        "preimage": after(Ask("preimage", bench[:1], 20), lambda n: SALT, hash_lock(SALT)),
        "vote": after(Ask("vote", (TELLER,), 20), lambda n: encode(TALLY, (1, 2, 3, 4, 5)), token_param(SALT[:20])),
    }


def test_the_widest_history_fits_every_policy(on_chain: EvmWorld) -> None:
    """32 seats twice, all filled: each policy answers within the 5,000,000 gas that the Book gives it, with contract
    signers that burn all they get.
    """
    world, cap = on_chain, 5_000_000
    made = {name: world.make(contract, ("uint256", 17), *rest) for name, contract, *rest in (
        ("rerun17", "Rerun", ("uint128", 0)), ("signed17", "Signed", ("uint128", 0)),
        ("quote17", "Quote", ("uint128", 0)),
        ("quorum17", "Quorum", ("uint64", READINGS[0]), ("uint32", 0), ("uint128", 0)),
        ("median17", "Median", ("uint64", READINGS[0]), ("uint32", 0), ("uint32", 1), ("uint128", 0)))}
    made |= {name: world.addresses.policies[name][0] for name in ("preimage", "vote")}
    selector = keccak256(f"judge(bytes32,uint8,{RUNG},uint64,{ENTRY}[])".encode())[:4]
    types = ("bytes32", "uint8", RUNG, "uint64", f"{ENTRY}[]")
    silent = set()
    for name, (rung, entries) in widest(world).items():
        data = selector + encode(types, (DEAL, 1, rung.abi(), 1530, [entry.abi() for entry in entries]))
        zeros = data.count(0)
        # What a transaction pays before it runs (EIP-2028); more is asked for than the floor of EIP-7623.
        before = 21_000 + 4 * zeros + 16 * (len(data) - zeros)
        assert 21_000 + 10 * zeros + 40 * (len(data) - zeros) < before + cap
        asked = {"from": "0x" + world.addresses.book.hex(), "to": "0x" + made[name].hex(), "data": "0x" + data.hex()}
        answer = request(world.web3, "eth_call", asked | {"gas": hex(before + cap)}, "latest")
        if not int(answer[66:130], 16):
            silent.add(name)
    assert silent == {"signed17", "quote17"}, "their signers burnt their gas; all others found something"
