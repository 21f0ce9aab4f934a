"""Policies of rungs: claims in, verdict out (docs/reference/deals.md, section 11). Each has a twin in contracts/."""
