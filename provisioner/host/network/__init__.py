"""Network devices and services on the host: made, observed, removed."""
