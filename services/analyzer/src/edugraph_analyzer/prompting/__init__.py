"""Requests to a language model: the prompts, the questions, and the knowledge points that are sent with a text."""
