"""Provers: a circuit and a witness in, a proof of 256 bytes out."""
