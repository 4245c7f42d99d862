"""Facts that the doctor asks the host for."""
