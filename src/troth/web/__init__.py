"""Thin faces for a browser: the report of a run, the page of a lineage graph, and a second verifier in JavaScript."""
