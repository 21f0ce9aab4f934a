"""Other people's clients at our shop, our payer at other people's servers: the protocol's own SDK, as it comes.

And what the SDK's default lets through, which ours refuses: the reason for binding an offer into its payment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from x402_parts import HTTP, PRICE, Market, market
from x402_stock import stock_client, stock_get, stock_server

from troth.core.errors import Misuse
from troth.ledger.chains.clocks import SystemClock
from troth.ledger.chains.embedded import EmbeddedChain

pytest.importorskip("x402")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with EmbeddedChain(None, clock=SystemClock()) as chain, market(chain, tmp_path_factory.mktemp("x402")) as found:
        yield found


def test_the_sdks_client_is_told_what_it_lacks(place: Market) -> None:
    server, before = place.serve(place.shop("bound")), place.rich("stock payer")
    answer = stock_get(place, "stock payer", f"{server.url}/a")
    assert answer.status_code == 402
    assert "names no offer" in answer.json()["error"]
    assert place.token.balance(before) == 1_000


def test_the_sdks_client_buys_where_the_shop_lets_it(place: Market) -> None:
    """Then the shop's own offers keep A from opening B, as long as nobody rewrites the header."""
    server = place.serve(place.shop("open", unbound=True))
    place.rich("other payer")
    seen: list[str] = []
    original = server.shop.reply
    server.shop.reply = lambda request: (seen.append(request.payment or ""), original(request))[1]  # type: ignore[method-assign]
    answer = stock_get(place, "other payer", f"{server.url}/a")
    assert (answer.status_code, answer.content[:2]) == (200, b"/a")
    assert (place.held("other payer"), len(place.runs)) == (1_000 - PRICE, 1)
    header = seen[-1]
    assert "another resource" in place.present(server, header, "/b").json()["error"]
    assert place.present(server, header).content == answer.content
    assert (place.held("other payer"), len(place.runs)) == (1_000 - PRICE, 1)


@pytest.mark.slow
def test_our_payer_buys_from_the_sdks_server_within_its_budget(place: Market) -> None:
    with stock_server(place) as (url, ran):
        with pytest.raises(Misuse, match="no offer that can be paid here"):
            place.payer("strict").get(f"{url}/a", most=PRICE)
        bought = place.payer("lenient", unbound=True).get(f"{url}/a", most=PRICE)
        assert (bought.status, bought.settled, ran) == (200, True, ["a"])
        assert (place.held("strict"), place.held("lenient")) == (1_000, 1_000 - PRICE)
        assert bought.spending is not None
        assert not bought.spending.offer.by_seller


@pytest.mark.slow
def test_the_sdks_own_default_lets_a_payment_for_one_thing_open_another(place: Market) -> None:
    """The contrast: here a payment for /a, not presented there yet, opens /b."""
    from x402.http.utils import decode_payment_required_header, encode_payment_signature_header

    place.rich("victim")
    with stock_server(place) as (url, ran):
        asked = decode_payment_required_header(HTTP.get(f"{url}/a").headers["payment-required"])
        payload = asyncio.run(stock_client(place, "victim").create_payment_payload(asked))
        header = encode_payment_signature_header(payload)
        answer = HTTP.get(f"{url}/b", headers={"PAYMENT-SIGNATURE": header})
    assert (answer.status_code, ran) == (200, ["b"])
