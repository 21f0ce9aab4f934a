"""Statements beyond models, proven in zero knowledge: relations over committed records, each bound to a context."""
