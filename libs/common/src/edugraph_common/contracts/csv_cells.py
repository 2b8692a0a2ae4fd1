"""Texts in the cells of a CSV file that people open in a spreadsheet."""

# A spreadsheet runs a cell that begins with one of these as a formula. Some cells hold texts of students.
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """Return a text that a spreadsheet does not run. An apostrophe is put before a text that looks like a formula."""
    if text.startswith(_FORMULA_BEGINS):
        return f"'{text}"
    return text
