"""Integer arithmetic, defined bit by bit, so that anyone who re-executes gets the same bits."""
