"""Sums of vectors that nobody but their owner sees: secure aggregation behind one port, ``port.SecureSum``."""
