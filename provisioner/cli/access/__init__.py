"""Commands that lead into a guest: ssh, cp, exec, console, logs, ip, link, capture."""
