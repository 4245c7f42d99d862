"""Who reaches whom: the table of modes, expectations for each pair, explanations."""
