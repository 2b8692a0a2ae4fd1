"""Where the rows of a table end, as a reference for the reading of CSV."""

import csv
import re
from contextlib import suppress


def line_ends(text: str, columns: int) -> list[int]:
    """Return after how many lines each row of a table ends, by Python's csv, which knows nothing of rows.

    Where the quotes of a line leave one open, lines that follow belong to its row up to the one that closes it, if the
    row has `columns` cells then, and blank ones at most beyond them. Else the line is a wrong row by itself: nothing but
    the number of cells tells the two apart.
    """
    lines, ends, at = re.findall("[^\n]*\n", re.sub("\r(?!\n)", " ", text)), list[int](), 0
    while at < len(lines):
        reader, taken = csv.reader(lines[at:], strict=True), 1
        with suppress(csv.Error):
            cells = next(reader)
            fits = len(cells) >= columns and not "".join(cells[columns:]).strip()
            blank = not "".join(lines[at : at + reader.line_num]).strip(' \r\n",')
            taken = reader.line_num if fits or blank else 1
        at += taken
        ends.append(at)
    return ends
