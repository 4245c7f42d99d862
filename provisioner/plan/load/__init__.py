"""From YAML text to a plan, with a position for every complaint."""
