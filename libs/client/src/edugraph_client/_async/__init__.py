"""The client that is awaited. `_sync` is made of it: make sync-client."""
