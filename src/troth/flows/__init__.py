"""Features: each file turns its own words into terms, and makes or checks its kinds of claim."""
