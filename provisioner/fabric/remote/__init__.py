"""What vmnet asks of vmnet on other hosts, and what it believes of their answers."""
