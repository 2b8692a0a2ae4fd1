"""Fits in the blob store. `edugraph analyzer fit` writes them; the analyzer and erasures in the importer read them.

Each version is an NDJSON blob: a header, then the rows (contracts/fits.py).
"""

from collections.abc import Callable

from edugraph_common.contracts.fits import FITS, FitHeader, LabelledRow, fit_folder
from edugraph_common.runtime.shared_state.object_store import Blobs


def write_fit(blobs: Blobs, header: FitHeader, rows: list[LabelledRow]) -> str:
    """Write a fit and return its key. Versions sort by the time of the fit, and the last one is used."""
    key = f"{fit_folder(header.course_id)}/{header.version}.ndjson"
    _write(blobs, key, header, rows)
    return key


def read_fit(blobs: Blobs, key: str) -> tuple[FitHeader, list[LabelledRow]]:
    """Return the header and the rows of a fit. Raises BlobMissing, and ValueError if the blob is not a fit."""
    with blobs.open(key) as file:
        first, *rest = file.read().splitlines()
    return FitHeader.model_validate_json(first), [
        LabelledRow.model_validate_json(line) for line in rest
    ]


def fit_keys(blobs: Blobs, course_id: str | None = None) -> list[str]:
    """Return the keys of all fits, or of one course's fits, the oldest first."""
    folder = FITS
    if course_id is not None:
        folder = fit_folder(course_id)
    return [key for key in blobs.keys(folder) if key.endswith(".ndjson")]


def leave_rows_out(
    blobs: Blobs, key: str, is_left_out: Callable[[LabelledRow], bool], *, dry_run: bool
) -> int:
    """Remove rows from a fit and return their number. The next load learns only from the remaining rows."""
    header, rows = read_fit(blobs, key)
    kept = [row for row in rows if not is_left_out(row)]
    if len(kept) < len(rows) and not dry_run:
        _write(blobs, key, header.model_copy(update={"items": len(kept)}), kept)
    return len(rows) - len(kept)


def _write(blobs: Blobs, key: str, header: FitHeader, rows: list[LabelledRow]) -> None:
    with blobs.write(key) as file:
        for line in (header, *rows):
            file.write(line.model_dump_json().encode() + b"\n")
