"""`edugraph pull`: connectors that fetch what is new at a source and submit it as imports (docs/adr/0109)."""
