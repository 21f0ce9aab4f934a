"""Running models where others can check it: models as integer programs, circuits, proofs, sandboxes."""
