"""x402: paying for an answer of a web server with a signed order to a token, in the request itself.

A server answers ``402 Payment Required`` with an offer; the client signs an ERC-3009 authorization and asks again with
it in a header; the server has the chain carry it out and then serves. Version 2 of the protocol, scheme ``exact`` on
EVM chains. What Troth adds, and what it costs, is in docs/reference/payments.md:

- ``offer``      what is offered, signed by the merchant, and bound into the payment's nonce
- ``wire``       the protocol's headers, read strictly
- ``till``       the merchant's durable ledger: one payment, one answer
- ``settling``   having the chain carry a payment out, once
- ``shop``       offers, checks, settles, serves; no HTTP in it
- ``server``     the shop on loopback
- ``budget``     the client's durable ledger: what may be spent, is reserved, was spent
- ``client``     asks, checks the offer, reserves, signs, asks again
- ``receipt``    what was bought, as a claim
"""
