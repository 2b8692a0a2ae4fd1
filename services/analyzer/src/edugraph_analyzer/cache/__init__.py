"""The cache of paid answers in Redis, and the rule that only one process asks each question."""
