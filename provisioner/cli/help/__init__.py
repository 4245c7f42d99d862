"""How --help shows commands, options and their values."""
