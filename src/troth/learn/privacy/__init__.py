"""Differential privacy: described mechanisms, their epsilon, exact noise, training, a ledger of what is spent."""
