"""Desired and observed resources, their difference, and the steps that mend it."""
