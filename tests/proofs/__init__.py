"""The contracts' own proof tools: Forge, Halmos and Slither, run on what is shipped (docs/reference/proofs.md)."""
