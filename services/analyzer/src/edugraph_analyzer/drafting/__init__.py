"""Drafts of feedback and summaries that a model writes from shown records (docs/adr/0150)."""
