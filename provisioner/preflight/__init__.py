"""What is checked about host, network and images before anything is touched."""
