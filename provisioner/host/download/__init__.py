"""Downloads: HTTP, limits, partial files, proofs of origin."""
