"""Answers that anybody can check: models as integer programs, their circuits, proofs, statements and reasons."""
