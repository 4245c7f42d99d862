"""Guards, NAT and isolation that are kept while guests run, whoever reloads a firewall."""
