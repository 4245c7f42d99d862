"""Commands that help to write a plan file, and look at nothing else."""
