"""Find the caller of a request, and check its permissions."""
