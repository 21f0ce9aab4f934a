"""Verification: claims in, verdict out."""
