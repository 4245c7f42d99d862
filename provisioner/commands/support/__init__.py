"""What whoever mends a bug of vmnet has to know of a host and a plan."""
