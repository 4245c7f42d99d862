"""The tests are one package: what they share is imported by its whole name, `tests.…`."""
