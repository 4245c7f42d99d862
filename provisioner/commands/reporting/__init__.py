"""What a command reports: what is known of the plan after it, when and where that was."""
