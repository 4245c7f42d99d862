"""The measurement behind `vmnet modes`: namespaces, devices, a switch."""
