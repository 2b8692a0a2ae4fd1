"""Servers and programs for development and tests. README.md lists them."""
