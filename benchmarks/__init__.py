"""Benchmarks: one module a subject, each with ``run(quick)``. Run them all with ``python -m benchmarks``."""
