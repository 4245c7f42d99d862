"""Decisions about networks: addresses, devices, nftables rules, DHCP, frames."""
