"""Servers, clusters and programs for development and tests; README.md says what is here."""
