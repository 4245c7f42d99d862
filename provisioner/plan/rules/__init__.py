"""What a plan must not say, though each of its values is well formed."""
