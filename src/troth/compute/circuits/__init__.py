"""Rank-1 constraint systems over BN254's scalar field, the gadgets they are built from, and models as circuits."""
