"""Other people's formats: claims written so that others can read them, and what others wrote read as claims.

docs/reference/formats.md has one line for each. Nothing here settles anything or opens a workspace.
"""
