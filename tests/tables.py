"""Files with tables, written for tests: workbooks of both kinds, and Parquet. A sheet is a list of rows of cells."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from xml.sax.saxutils import quoteattr

import xlsxwriter
from arro3.core import Array, Table
from arro3.io import write_parquet

Rows = Sequence[Sequence[Any]]


def xlsx(sheets: Mapping[str, Rows], hidden: Sequence[str] = ()) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True, "strings_to_urls": False})
    day = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    hours = book.add_format({"num_format": "[h]:mm:ss"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                match cell:
                    case None:
                        pass
                    case datetime() | date():
                        sheet.write_datetime(at, column, cell, day)
                    case timedelta():
                        sheet.write_datetime(at, column, cell, hours)
                    case bool():
                        sheet.write_boolean(at, column, cell)
                    case int() | float():
                        sheet.write_number(at, column, cell)
                    case _:
                        sheet.write_string(at, column, cell)
        if name in hidden:
            sheet.hide()
    book.close()
    return file.getvalue()


def ods(sheets: Mapping[str, Rows]) -> bytes:
    """Write an OpenDocument workbook, as small as its readers take it."""
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in _PARTS
    )
    tables = "".join(
        f"<table:table table:name={quoteattr(name)}>"
        + "".join(
            f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows
        )
        + "</table:table>"
        for name, rows in sheets.items()
    )
    body = f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "mimetype",
            "application/vnd.oasis.opendocument.spreadsheet",
            compress_type=zipfile.ZIP_STORED,
        )
        archive.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        archive.writestr(
            "content.xml", f"<office:document-content {names}>{body}</office:document-content>"
        )
    return file.getvalue()


def parquet(columns: Mapping[str, Array]) -> bytes:
    file = io.BytesIO()
    write_parquet(Table.from_arrays(list(columns.values()), names=list(columns)), file)
    return file.getvalue()


_PARTS = ("office", "table", "text")


def _ods_cell(cell: Any) -> str:
    match cell:
        case None:
            return "<table:table-cell/>"
        case bool():
            kind = f'office:value-type="boolean" office:boolean-value="{str(cell).lower()}"'
        case int() | float():
            kind = f'office:value-type="float" office:value="{cell!r}"'
        case timedelta():
            hours, rest = divmod(cell.total_seconds(), 3600)
            minutes, seconds = divmod(rest, 60)
            form = f"PT{int(hours):02}H{int(minutes):02}M{int(seconds):02}S"
            kind = f'office:value-type="time" office:time-value="{form}"'
        case datetime() | date():
            kind = f'office:value-type="date" office:date-value="{cell.isoformat()}"'
        case _:
            text = quoteattr(str(cell))[1:-1]
            return f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
    return f"<table:table-cell {kind}><text:p>{cell}</text:p></table:table-cell>"
