"""Troth: check what was done with AI, and hold people to what they promised."""

__version__ = "0.1.0"
