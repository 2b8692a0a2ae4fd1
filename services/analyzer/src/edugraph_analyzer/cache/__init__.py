"""Answers that were paid for, kept in Redis, and the rule that one process asks each question."""
