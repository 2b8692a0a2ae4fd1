"""The language model's provider: its client, what its endpoints accept, and its rate limit.

Only this package imports `openai`.
"""
