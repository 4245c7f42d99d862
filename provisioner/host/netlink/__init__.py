"""Rtnetlink: messages, sockets, links, addresses."""
