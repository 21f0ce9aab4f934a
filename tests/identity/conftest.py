"""Two parties and a book that knows both."""

from __future__ import annotations

import pytest
from identities import make

from troth.identity.hybrid import HybridIdentity
from troth.identity.keybook import KeyBook


@pytest.fixture(scope="session")
def alice() -> HybridIdentity:
    return make("alice")


@pytest.fixture(scope="session")
def mallory() -> HybridIdentity:
    return make("mallory")


@pytest.fixture
def book(alice: HybridIdentity, mallory: HybridIdentity) -> KeyBook:
    known = KeyBook()
    known.learn(alice.genesis, alice.did)
    known.learn(mallory.genesis)
    return known
