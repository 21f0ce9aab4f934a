"""Claims, verdicts, terms, the deal rules, encoding, Merkle trees, errors and ports. No I/O, clock or randomness."""
