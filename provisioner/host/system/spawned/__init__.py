"""Programs of vmnet's own that are started where vmnet is a library: nothing is forked there."""
