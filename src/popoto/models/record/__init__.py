"""What one stored record is, and what is known about its class. Nothing here needs a server."""
