"""Identity: keys, decentralised identifiers, documents that say which suites must sign, and secrets at rest."""
