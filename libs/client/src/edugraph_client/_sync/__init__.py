# Made from _async/__init__.py by `make sync-client`: change that.
"""The client that is awaited. `_sync` is made of it: make sync-client."""
