"""API v1: the routes, and the answers that only the gateway gives."""
