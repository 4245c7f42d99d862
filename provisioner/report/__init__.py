"""Reports as text, JSON, JUnit, TAP, HTML and GitHub annotations."""
