"""The gate through the contract ``PolicyAccount``: the suite of every gate, and what only a chain has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ports.books import key
from ports.contracts import creation
from ports.evm_world import EvmWorld
from ports.gate_suite import (
    DAY,
    FUNDS,
    NAMES,
    NOBODYS,
    OWNER,
    PER_ACT,
    SALT,
    SHOP,
    STRANGER,
    VERIFIERS,
    GateSuite,
    asking,
    base_limits,
    join_call,
    open_call,
    poke,
)
from ports.gate_worlds import ChainGateWorld
from troth.agents.account_gate import LIFE, AccountGate
from troth.agents.gate import Act, Confidence, Done, Refused
from troth.core.encoding import keccak256
from troth.core.errors import ActRefused, OutsideFailed
from troth.core.terms import REFUTED, UPHELD, Account, Ask, Pot, Result, Rung, Split, Terms
from troth.ledger.accounts import PolicyAccount, SignedAct
from troth.ledger.artefacts import artefact
from troth.ledger.evmcodec import encoded_call
from troth.ledger.limits import LIMITS, OPEN_AND_JOIN, TRANSFER_FROM, Voice, selector
from troth.ledger.sending import Receipt, call
from troth.verify.policies.mandated import Mandate, act_data


class TestGateOnChain(GateSuite):
    @pytest.fixture
    def world(self, on_chain: EvmWorld) -> ChainGateWorld:
        return ChainGateWorld(on_chain)


class TestAccountOnChain:
    """What a chain adds: who carries acts, what they can change, other people's accounts, and calls that come back."""

    @pytest.fixture
    def world(self, on_chain: EvmWorld) -> ChainGateWorld:
        return ChainGateWorld(on_chain)

    def bring(self, world: ChainGateWorld, act: SignedAct, by: Account = STRANGER) -> Receipt:
        call(world.world.web3, act.account, act.calldata(), sender=by, errors=artefact("PolicyAccount").errors)
        return world.world.sender(by).send(act.account, act.calldata())

    def refuses(self, world: ChainGateWorld, act: SignedAct, name: str) -> None:
        before, nonce = world.snapshot(), world.contract.standing().nonce
        with pytest.raises(ActRefused, match=name):
            self.bring(world, act)
        assert (world.snapshot(), world.contract.standing().nonce) == (before, nonce)

    def test_anybody_carries_an_act_once(self, world: ChainGateWorld) -> None:
        act = world.gate.sign(world.pay(SHOP, 10))
        self.bring(world, act)
        assert world.balance(SHOP) == 10
        self.refuses(world, act, "BadSignature")

    def test_a_carrier_changes_nothing(self, world: ChainGateWorld) -> None:
        world.owner.limit(OWNER, asking(world))
        what = world.pay(SHOP, 10)
        act = world.gate.sign(what, world.sure(what))
        other = asking(world).to_bytes().replace(SHOP, STRANGER)
        for name, change in {"BadSignature": {"data": world.pay(SHOP, 11).data}, "Late": {"deadline": world.now() - 1},
                             "OtherLimits": {"limits": other}}.items():
            self.refuses(world, replace(act, **change), name)  # type: ignore[arg-type]
        self.refuses(world, replace(act, target=STRANGER), "BadSignature")
        self.refuses(world, replace(act, deadline=act.deadline + 1), "BadSignature")
        self.refuses(world, replace(act, signature=act.signature[:-1]), "BadSignature")
        # Without a voice it would be a strike against the agent.
        self.refuses(world, replace(act, voices=act.voices[:1]), "BadSignature")
        self.refuses(world, replace(act, voices=()), "BadSignature")
        self.bring(world, act)

    def test_an_act_that_was_signed_is_over_at_its_deadline(self, world: ChainGateWorld) -> None:
        act = world.gate.sign(world.pay(SHOP, 10))
        world.advance(LIFE + 60)
        self.refuses(world, act, "Late")

    def test_another_key_does_nothing(self, world: ChainGateWorld) -> None:
        for name in ("stranger", "gate owner", "voice 0"):
            gate = AccountGate(world.contract, key(name), world.world.sender(STRANGER))
            self.refuses(world, gate.sign(world.pay(SHOP, 1)), "BadSignature")

    def test_an_act_of_another_account_or_chain(self, world: ChainGateWorld) -> None:
        other = world.factory.make(world.world.sender(OWNER), b"\x02" * 32, base_limits(world))
        world.world.send(OWNER, world.token, "mint(address,uint256)", other.address, FUNDS)
        act = world.gate.sign(world.pay(SHOP, 10))
        self.refuses(world, replace(act, account=other.address), "BadSignature")
        asked = replace(world.gate.asked(world.pay(SHOP, 10)), chain_id=1)
        self.refuses(world, SignedAct.sign(key("gate agent"), asked, world.limits(), (), act.deadline), "BadSignature")
        world.owner.limit(OWNER, asking(world))
        what = world.pay(SHOP, 10)
        elsewhere = replace(world.gate.asked(what), account=other.address)
        voices = tuple(Voice.sign(key(NAMES[one]), elsewhere, 10_000, world.now() + 60) for one in VERIFIERS)
        found = world.gate.do(what, Confidence(voices))
        assert isinstance(found, Refused)
        assert found.reason == "Unsure"

    def test_a_call_that_comes_back_spends_within_the_caps(self, world: ChainGateWorld) -> None:
        first, limits = poke(world.bell, 77), world.limits()
        asked = world.gate.asked(first)
        for amount, moved in ((PER_ACT, PER_ACT), (PER_ACT + 1, 0)):
            asked = world.gate.asked(first)
            second = replace(asked, nonce=asked.nonce + 1, target=world.token, data=world.pay(SHOP, amount).data)
            inner = SignedAct.sign(key("gate agent"), second, limits, (), world.now() + 600)
            world.world.send(OWNER, world.bell, "arm(address,bytes)", world.gate.account, inner.calldata())
            spent, held = world.gate.state().spent_today, world.balance(SHOP)
            assert isinstance(world.gate.do(first), Done)
            assert (world.gate.state().spent_today, world.balance(SHOP)) == (spent + moved, held + moved)
            assert world.contract.standing().nonce == asked.nonce + 2

    @pytest.mark.parametrize(("takes", "reason"), [(4, ""), (10, ""), (11, "Failed")])
    def test_a_book_takes_what_was_counted_and_nothing_after(self, world: ChainGateWorld, takes: int,
                                                             reason: str) -> None:
        """A contract that the owner took for a Book takes what it likes."""
        call_ = int.from_bytes(TRANSFER_FROM.ljust(32, b"\0"), "big")
        code = creation(f"{call_} 0 MSTORE CALLER 4 MSTORE ADDRESS 36 MSTORE {takes} 68 MSTORE 0 0 100 0 0 "
                        f"{int.from_bytes(world.token, 'big')} GAS CALL @fine JUMPI 0 0 REVERT fine:")
        book = world.world.sender(STRANGER).deploy(code).contract
        assert book is not None
        limits = world.limits()
        world.owner.limit(OWNER, replace(limits, payees=(book,), calls=((book, OPEN_AND_JOIN),)))
        found = world.gate.do(Act(book, open_call(world.terms(10, SHOP)), 10, book, "buy"))
        assert (found.reason if isinstance(found, Refused) else "") == reason
        assert world.balance(book) == (0 if reason else takes)
        assert world.allowance(book) == 0

    def test_the_agents_signature_is_never_the_accounts(self, world: ChainGateWorld) -> None:
        digest = keccak256(b"a permit of everything")
        for name, good in (("gate owner", True), ("gate agent", False), ("stranger", False)):
            signature = world.contract.owned(digest, key(name))
            answer = call(world.world.web3, world.gate.account,
                          encoded_call("isValidSignature", ("bytes32", "bytes"), (digest, signature)))
            assert (answer[:4] == bytes.fromhex("1626ba7e")) is good
        bare = key("gate owner").sign_digest(digest)  # made for any other account of the owner's
        answer = call(world.world.web3, world.gate.account,
                      encoded_call("isValidSignature", ("bytes32", "bytes"), (digest, bare)))
        assert answer[:4] == b"\xff" * 4

    def test_an_account_begins_once_and_its_code_is_nobodys(self, world: ChainGateWorld) -> None:
        code = call(world.world.web3, world.factory.address, keccak256(b"code()")[:4])[12:]
        for where in (world.gate.account, code):
            with pytest.raises(ActRefused, match="Begun"):
                call(world.world.web3, where, encoded_call("begin", (LIMITS,), (world.limits().abi(),)),
                     errors=artefact("PolicyAccount").errors)
        with pytest.raises(ActRefused):  # there is an account with this salt
            world.factory.make(world.world.sender(OWNER), b"\x01" * 32, base_limits(world))
        assert world.factory.address_of(STRANGER, b"\x01" * 32) != world.gate.account

    def test_accounts_of_other_code_are_not_believed(self, world: ChainGateWorld) -> None:
        world.contract.check()
        for address in (world.bell, STRANGER, world.factory.address):
            with pytest.raises(OutsideFailed, match="not one of Troth's"):
                PolicyAccount(world.world.web3, address).check()

    def test_the_record_tells_everything(self, world: ChainGateWorld) -> None:
        world.owner.limit(OWNER, replace(asking(world), strikes=1))
        paid, unsure = world.pay(SHOP, 10), world.pay(SHOP, 11)
        world.gate.do(paid, world.sure(paid))
        world.gate.do(world.pay(STRANGER, 5))
        world.gate.do(unsure)
        world.owner.stop(OWNER)
        world.owner.resume(OWNER)
        world.owner.reset(OWNER)
        world.owner.approve(OWNER, poke(world.bell))
        world.owner.withdraw(OWNER, world.token, OWNER, 7)
        entries = world.contract.entries()
        assert [one.what for one in entries] == ["limited", "limited", "acted", "refused", "tripped", "refused",
                                                 "stopped", "resumed", "reset", "owner", "withdrawn"]
        acted, stranger, last = entries[2], entries[3], entries[5]
        assert (acted.nonce, acted.target, acted.amount, acted.payee) == (0, world.token, 10, SHOP)
        assert (stranger.reason, stranger.data) == ("NotPayee", world.pay(STRANGER, 5).data)
        assert (last.reason, last.nonce, last.data) == ("Unsure", 2, unsure.data)
        assert entries[-1].amount == 7
        assert [one.address for one in world.factory.of(OWNER)] == [world.gate.account]

    def test_tokens_of_other_kinds_come_in(self, world: ChainGateWorld) -> None:
        for signature, values, kinds in (
                ("onERC1155Received", (STRANGER, STRANGER, 1, 1, b""),
                 ("address", "address", "uint256", "uint256", "bytes")),
                ("onERC1155BatchReceived", (STRANGER, STRANGER, [1], [1], b""),
                 ("address", "address", "uint256[]", "uint256[]", "bytes")),
                ("onERC721Received", (STRANGER, STRANGER, 1, b""), ("address", "address", "uint256", "bytes"))):
            data = encoded_call(signature, kinds, values)
            assert call(world.world.web3, world.gate.account, data)[:4] == data[:4]

    def test_a_mandate_that_the_account_carries_out(self, world: ChainGateWorld) -> None:
        """The owner's mandate names the account as agent; a deal's rung names the mandate; the account answers it."""
        chain, book = world.world.chain.chain_id, world.book
        mandate = Mandate(OWNER, world.gate.account, "summary", 50, world.now() + DAY, b"\x09" * 32)
        digest = mandate.digest(chain, book)
        submit = selector("submit(bytes,uint8,uint8,bytes32,bytes)")
        world.owner.limit(OWNER, replace(world.limits(), mandate=digest, calls=(*world.limits().calls, (book, submit))))
        asks = (Ask("act", (world.gate.account,), 60), Ask("result", (world.gate.account,), 60))
        rung = Rung(*world.world.addresses.policies["mandated"], asks, 60, silent=REFUTED, param=digest)
        price = Pot("price", OWNER, 50, {UPHELD: Split((world.gate.account,), amounts=(50,))})
        stake = Pot("stake", world.gate.account, 20, {})
        world.world.fund(OWNER)
        terms = Terms(world.token, (price, stake), (rung,), world.now() + DAY, NOBODYS)
        books = world.world.book
        deal = books.open(OWNER, terms, SALT)
        books.join(OWNER, deal, 0)
        joined = world.gate.do(Act(book, join_call(OWNER, terms, 1), 20, book, "stake"))
        assert isinstance(joined, Done), joined
        said = (act_data("summary", 50, mandate, key("gate owner").sign_digest(digest)), Result(UPHELD).to_bytes())
        for ask, data in enumerate(said):
            call_ = encoded_call("submit", ("bytes", "uint8", "uint8", "bytes32", "bytes"),
                                 (OWNER + SALT + terms.to_bytes(), ask, 0, bytes(32), data))
            done = world.gate.do(Act(book, call_, 0, book, "answer"))
            assert isinstance(done, Done), done
        books.judge(STRANGER, deal)
        books.close(STRANGER, deal)
        assert books.state(deal).final == Result(UPHELD)
        assert world.balance(world.gate.account) == FUNDS + 50
