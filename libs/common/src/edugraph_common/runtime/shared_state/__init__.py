"""Data in Redis and in the blob store through which services talk.

The first paragraph of each module names its writers and its readers. docs/shared-state.md lists all keys of Redis.
"""
