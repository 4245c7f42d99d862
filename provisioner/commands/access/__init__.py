"""ssh, exec, console, capture, link: access to running guests."""
