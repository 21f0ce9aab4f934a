"""Training together over slow links: many local steps, then one exchange of committed integers (DiLoCo).

See docs/reference/slow-links.md. `outer` is the arithmetic, `records` what is signed, `folder` what is kept, `link` the
wire, `worker` the loop, `recheck` the same arithmetic again for whoever doubts.
"""
