"""What a reviewer of the kernel tried: each test failed once, or stands where nothing else did, on both Books."""

from __future__ import annotations

from dataclasses import replace

import pytest
from parts import BENCH, BOND, CLAIM, CLIENT, COURT, HOUR, RIVAL, SALT, WORKER, begin, claims, refused, simple

from ports.books import MINT, MemoryWorld, World, account
from ports.evm_world import DEPLOYER, EvmWorld
from troth.core.encoding import keccak256
from troth.core.terms import CHALLENGER, REFUTED, SLASHED, UPHELD, Answered, Ask, Pot, Result, Root, Rung, Split, Terms
from troth.ledger.evmcodec import calldata, deal_bytes, long_history, short_history

TRANSACTION = 2**24  # the most gas of one transaction (EIP-7825)


@pytest.fixture(params=["memory", "contract"])
def either(request: pytest.FixtureRequest) -> World:
    """A world of each kind."""
    return MemoryWorld() if request.param == "memory" else request.getfixturevalue("world")


def staked_bench(world: World) -> Terms:
    """The simple deal, with a stake from each judge."""
    terms = simple(world)
    stakes = tuple(Pot(f"seat {n}", one, 200, {SLASHED: Split((CLIENT,), weights=(1,))})
                   for n, one in enumerate(BENCH))
    return replace(terms, pots=(*terms.pots, *stakes))


def test_no_verdict_slashes_who_is_yet_to_judge(either: World) -> None:
    """A claimant slashed the judges above it. Benches do not count in comparisons, so whoever had objected would have
    been wrong and lost the bond, and the judges may not object themselves: their stakes were the client's for nothing.
    """
    book, deal = either.book, begin(either, staked_bench(either))
    for n, one in enumerate(BENCH):
        book.join(one, deal, 3 + n)
    book.submit(WORKER, deal, 0, 0, CLAIM, b"\x00" + Result(UPHELD, slashed=frozenset(BENCH)).to_bytes())
    refused("BadResult", book.judge, RIVAL, deal)
    either.advance(2 * HOUR)
    book.close(RIVAL, deal)
    assert all(either.balance(one) == MINT for one in BENCH)


def test_a_bench_may_still_slash_its_own(either: World) -> None:
    book, deal = either.book, begin(either, simple(either))
    claims(either, deal)
    book.challenge(RIVAL, deal)
    said = Result(UPHELD, slashed=frozenset(BENCH[:1]))
    for judge in BENCH:
        for slot in range(2):
            book.submit(judge, deal, 0, slot, CLAIM, b"\x00" + said.to_bytes())
    assert book.judge(RIVAL, deal) == said
    book.close(RIVAL, deal)
    assert either.balance(COURT) == BOND, "the challenger was wrong: a bench does not count"


@pytest.mark.parametrize("number", [0, 1, 0x11, 0xFF])
def test_no_verdict_slashes_a_role(either: World, number: int) -> None:
    """The contract took a fee pot's role for a depositor: slashing it made any challenge right, at nobody's cost."""
    book, deal = either.book, begin(either, simple(either))
    nobody = bytes(19) + bytes([number])
    book.submit(WORKER, deal, 0, 0, CLAIM, b"\x00" + Result(UPHELD, slashed=frozenset({nobody})).to_bytes())
    refused("BadResult", book.judge, RIVAL, deal)


def test_nobody_is_wrong_without_a_verdict(either: World) -> None:
    """A party that the challenged result had slashed already withheld again, and the judges slept: that said nothing
    new, yet it turned the challenge from unanswered to wrong.
    """
    terms = simple(either)
    top = terms.rungs[1]
    top = replace(top, asks=(Ask("evidence", (WORKER,), HOUR), *top.asks))
    book, deal = either.book, begin(either, replace(terms, rungs=(terms.rungs[0], top)))
    claims(either, deal, Result(UPHELD, slashed=frozenset({WORKER})))
    book.challenge(RIVAL, deal)
    either.advance(3 * HOUR)
    book.close(CLIENT, deal)
    assert either.balance(RIVAL) == MINT + 5, "the bond and the fee came back; 5 is half of the keeper's part"
    assert either.balance(COURT) == 0


@pytest.mark.parametrize("pinned", [True, False])
def test_a_tick_is_that_of_the_pinned_code(pinned: bool) -> None:
    """Code that took the place of a policy could widen the tick and make a challenger wrong: it has no say, as the
    contract's ``Settle`` has it. With the pinned code, 5 off is within the tick, and the bond goes to the court.
    """
    world = MemoryWorld()
    deal = begin(world, simple(world, "puppet5"))
    claims(world, deal, Result(UPHELD, (500,)))
    world.book.challenge(RIVAL, deal)
    for n, one in enumerate((*BENCH, *BENCH)):
        world.book.submit(one, deal, 0, n // 2, CLAIM, b"\x00" + Result(UPHELD, (505,)).to_bytes())
    world.book.judge(CLIENT, deal)
    if not pinned:
        policy = world.addresses.policies["puppet5"][0]
        world.book.policies[policy] = replace(world.book.policies[policy], codehash=CLAIM)
    before = world.balance(COURT)
    world.book.close(CLIENT, deal)
    assert world.balance(COURT) - before == (BOND if pinned else 0)


def test_one_root_for_two_pots(either: World) -> None:
    """A leaf pays from the pot it names, once: not from its neighbour, nor by another's index."""
    from troth.core.payouts import PayoutTree
    from troth.core.terms import payout_leaf

    terms = simple(either)
    pots = tuple(Pot(name, CLIENT, 1000, {UPHELD: Root(HOUR)}) for name in ("one", "two"))
    terms = replace(terms, pots=(*pots, terms.pots[1]))
    for who in (CLIENT, WORKER, RIVAL):
        either.fund(who)
    book = either.book
    deal = book.open(CLIENT, terms, SALT)
    for who, pot in ((CLIENT, 0), (CLIENT, 1), (WORKER, 2)):
        book.join(who, deal, pot)
    # Index 7 twice, for different amounts: only the first to come is paid.
    listed = [(0, 7, WORKER, 300), (0, 7, RIVAL, 400), (1, 8, WORKER, 500), (0, 2**256 - 1, WORKER, 1)]
    leaves = [payout_leaf(book.chain_id, book.address, deal, *one) for one in listed]
    tree = PayoutTree(leaves)
    claims(either, deal, Result(UPHELD, root=tree.root, total=800))
    either.advance(HOUR)
    book.close(RIVAL, deal)
    book.collect(RIVAL, deal, 0, listed[0][1:], tree.proof(0))
    refused("Collected", book.collect, RIVAL, deal, 0, listed[1][1:], tree.proof(1))
    refused("BadProof", book.collect, RIVAL, deal, 0, listed[2][1:], tree.proof(2))
    refused("BadProof", book.collect, RIVAL, deal, 1, listed[0][1:], tree.proof(0))
    book.collect(RIVAL, deal, 1, listed[2][1:], tree.proof(2))
    book.collect(RIVAL, deal, 0, listed[3][1:], tree.proof(3))
    either.advance(HOUR)
    book.sweep(RIVAL, deal, 0)
    book.sweep(RIVAL, deal, 1)
    assert either.balance(either.addresses.book) == 0
    assert either.balance(WORKER) == MINT + 801


def widest(world: EvmWorld, token: bytes) -> tuple[Terms, tuple[tuple[bytes, ...], ...], tuple[bytes, ...]]:
    """Terms at every limit of section 1 that costs gas at a close; whom each rung asks; who is paid."""
    benches = tuple(tuple(account(f"seat {r} {n}") for n in range(20)) for r in range(3))
    crowd = tuple(keccak256(b"payee" + bytes([n]))[:20] for n in range(52))
    rules: list[Answered | Split] = [*(Answered(r) for r in (1, 2, 3)),
                                     *(Split((one,), amounts=(7,)) for one in crowd[32:])]
    pots = tuple(Pot(f"pot {n}", account(f"depositor {n % 8}"), 1003,
                     {**({UPHELD: rules[n]} if n < len(rules) else {}), **{o: Root(HOUR) for o in range(3, 10)}},
                     residual=crowd[n]) for n in range(32))
    pinned = world.addresses.policies["puppet5"]
    seats = (tuple(account(f"worker {n}") for n in range(4)), *benches)
    rungs = (Rung(*pinned, (Ask("result", seats[0], HOUR),), HOUR, HOUR, 100, REFUTED),
             *(Rung(*pinned, (Ask("word", one, HOUR),), HOUR, HOUR if r < 2 else 0, 200 * 2**r if r < 2 else 0)
               for r, one in enumerate(benches)))
    paid = (*(one for bench in benches for one in bench), *crowd)
    return Terms(token, pots, rungs, world.now() + HOUR, COURT), seats, paid


def test_every_deal_that_opens_can_be_judged_and_closed(world: EvmWorld) -> None:
    """The longest history, all of it data, every limit reached, every payee new, every transfer burning what it gets:
    such a deal once opened, and no transaction could close it.
    """
    token = world.make("HostileToken")
    terms, seats, paid = widest(world, token)
    book = world.book
    for who in (*(account(f"depositor {n}") for n in range(8)), *(account(f"challenger {r}") for r in range(3))):
        world.send(DEPLOYER, token, "mint(address,uint256)", who, MINT)
        world.send(who, token, "approve(address,uint256)", book.address, MINT)
    deal = book.open(CLIENT, terms, SALT)

    made_of = deal_bytes(CLIENT, SALT, terms)

    def act(who: bytes, name: str, *values: object) -> int:
        """Sent at once: running each of a hundred acts on a trial first takes as long again."""
        return world.sender(who).send(book.address, calldata(name, made_of, *values), gas=TRANSACTION).gas_used

    for n, pot in enumerate(terms.pots):
        act(pot.depositor, "join", n)
    slashed = frozenset(pot.depositor for pot in terms.pots)
    for r, asked in enumerate(seats):
        # Within the tick of one another, so that each is read to its end.
        said = Result(UPHELD, values=tuple(10 + r for _ in range(64)), slashed=slashed).to_bytes()
        for one in asked:
            data = b"\x07" * 4096 if one != asked[-1] else b"\x00" + said
            act(one, "submit", 0, 0, CLAIM, data)
        act(RIVAL, "judge", long_history(book.state(deal).history))
        if r < 3:
            act(account(f"challenger {r}"), "challenge")
    room = TRANSACTION - 300_000  # for what a forwarder takes
    whole = calldata("close", made_of, short_history(book.state(deal).history))
    world.send(DEPLOYER, token, "set(uint256,bytes)", 7, b"")
    assert world.sender(CLIENT).send(book.address, whole, gas=room).gas_used < room
    assert all(book.credit(token, one) for one in paid)
    assert book.credit(token, COURT) == 100 + 200 + 400


def searching(world: EvmWorld, token: bytes) -> tuple[Terms, tuple[bytes, ...], tuple[tuple[bytes, ...], ...]]:
    """Terms whose close looks longest for places in the table; the depositors, who stand last in it; whom each rung
    asks. Every payee is CHALLENGER, whose place is looked for three times; verdicts slash as many as they may.
    """
    last = sorted((account(f"many {n}") for n in range(300)), reverse=True)
    benches = (tuple(last[32:63]), tuple(last[63:94]), (last[94],))
    first = [b"\x00\x01" + keccak256(bytes((n,)))[:18] for n in range(80)]
    pots = tuple(Pot(f"pot {n}", last[n], 1003, {
        UPHELD: Split((CHALLENGER,) * wide, amounts=(15,) * wide),
        3: Split(tuple(first[32 + 16 * n:48 + 16 * n]), amounts=(1,) * 16),
    } if wide else {}, residual=first[n]) for n, wide in enumerate((32, 32, 16, *(29 * (0,)))))
    pinned, seats = world.addresses.policies["puppet5"], ((last[-1],), *benches)
    rungs = tuple(Rung(*pinned, (Ask("word", one, HOUR),), HOUR, HOUR if r < 3 else 0, 100 * 2**r if r < 3 else 0,
                       0 if r else REFUTED) for r, one in enumerate(seats))
    return Terms(token, pots, rungs, world.now() + HOUR, COURT), tuple(last[:32]), seats


def test_a_close_that_searches_longest_fits_one_transaction(world: EvmWorld) -> None:
    """The widest close above is not the dearest: this one takes 12.4 million gas, five million more."""
    token = world.make("HostileToken")
    terms, depositors, seats = searching(world, token)
    book, made_of = world.book, deal_bytes(CLIENT, SALT, terms)
    challengers = tuple(account(f"challenger {r}") for r in range(3))
    for who in (*depositors, *challengers):
        world.send(DEPLOYER, token, "mint(address,uint256)", who, MINT)
        world.send(who, token, "approve(address,uint256)", book.address, MINT)
    deal = book.open(CLIENT, terms, SALT)

    def act(who: bytes, name: str, *values: object) -> None:
        world.sender(who).send(book.address, calldata(name, made_of, *values), gas=TRANSACTION)

    for n, pot in enumerate(terms.pots):
        act(pot.depositor, "join", n)
    for r, (asked, slashed) in enumerate(zip(seats, ((), seats[1], seats[2], seats[1]), strict=True)):
        # The last word is more than a tick from every other: all three challenges were right.
        values = tuple(110 if r == 3 else 10 + r for _ in range(56))
        said = Result(UPHELD, values, frozenset((*depositors, *slashed))).to_bytes()
        for one in asked:
            act(one, "submit", 0, 0, CLAIM, b"\x00" + said if one == asked[-1] else b"")
        act(RIVAL, "judge", long_history(book.state(deal).history))
        if r < 3:
            act(challengers[r], "challenge")
    world.send(DEPLOYER, token, "set(uint256,bytes)", 7, b"")
    room, whole = TRANSACTION - 300_000, calldata("close", made_of, short_history(book.state(deal).history))
    assert world.sender(CLIENT).send(book.address, whole, gas=room).gas_used < room
    # Each has its bond back, and its part of 80 parts of 15, rounded down 80 times.
    assert [book.credit(token, one) for one in challengers] == [100 + 80 * 2, 200 + 80 * 4, 400 + 80 * 8]
