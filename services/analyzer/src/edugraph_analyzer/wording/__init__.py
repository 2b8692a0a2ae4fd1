"""Questions in words: choose one of the typed questions of insights for a text (docs/adr/0154)."""
