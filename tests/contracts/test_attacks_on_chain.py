"""The attacks that once worked, on the contract: the same tests as ``MemoryBook`` passes, on another ``world``."""

from core.test_deals_attacks import *  # noqa: F403
