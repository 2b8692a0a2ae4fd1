"""The addresses of API v1, one module for each kind of thing."""
