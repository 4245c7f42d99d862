"""ssh, cp, exec, console, logs, link, capture, ip: access to running guests."""
