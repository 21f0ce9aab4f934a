"""The ledger: the claims' log and its anchors, the Book in memory and on chain, chains, sending and receipt proofs."""
