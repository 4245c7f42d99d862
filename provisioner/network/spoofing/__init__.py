"""What guests are kept from: what each may not send, and from whom it never gets anything."""
