"""Federated learning: data, integer models, robust aggregation, contribution and the round that re-executes."""
