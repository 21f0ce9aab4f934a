"""Tests that run Flower: `make flower` runs them in an environment that has it, and `make test` leaves them out."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("flwr") else ["test_*.py"]
