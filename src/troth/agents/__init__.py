"""Agents: programs that act for somebody, within limits that no text they read can lift."""
