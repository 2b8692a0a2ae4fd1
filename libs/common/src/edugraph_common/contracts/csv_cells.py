"""Texts in cells of a CSV that people open in a spreadsheet."""

# What a spreadsheet would take for a formula, and run; texts of students stand in some cells.
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: one that looks so begins with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA_BEGINS) else text
