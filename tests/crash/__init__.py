"""vmnet is killed before and after each thing that it does: the next run goes on from there."""
