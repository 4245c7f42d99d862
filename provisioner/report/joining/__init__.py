"""The reports of several hosts on one plan, made one."""
