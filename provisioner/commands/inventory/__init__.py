"""Commands about all plans of a host."""
