"""What plans of a host have made, found by its marks: whose it is, and whether it lives."""
