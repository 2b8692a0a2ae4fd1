"""Rows of workbooks and Parquet files, which are read in a separate process (see table_process)."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from math import ceil

from edugraph_common.sources import table_process
from edugraph_common.sources.binary_files import TableFormat
from edugraph_common.sources.compression import RatioLimit
from edugraph_common.sources.ndjson import EmptyFile, MalformedFile
from edugraph_common.sources.split_budget import most_cpu_seconds, most_rows
from edugraph_common.sources.table_rows import SheetRow

# Enough for about two million cells of a workbook. Two processes of a worker may each read a workbook, and the chart
# gives the workers that split files 768 MiB. A Parquet file is read one group of rows at a time.
MAX_MEMORY_BYTES = 256 << 20
_MAX_FILE_BYTES = 1 << 30


def sheet_rows(
    blocks: Iterable[bytes], file_format: TableFormat, hidden: Iterable[str] = ()
) -> Generator[SheetRow]:
    """Yield all rows of a workbook or a Parquet file, which comes uncompressed in blocks of any size.

    `hidden`: names of hidden sheets that are read too. Raises MalformedFile.
    """
    # The file is on disk while it is read. It has no name there, so nothing is left if this process is killed.
    with tempfile.TemporaryFile() as file:
        size = 0
        for block in blocks:
            size += file.write(block)
            if size > _MAX_FILE_BYTES:
                raise MalformedFile(f"the file has more than {_MAX_FILE_BYTES:,} bytes; split it")
        file.flush()
        if not size:
            raise EmptyFile("the file is empty: it holds no record")
        command = [
            sys.executable,
            "-I",
            table_process.__file__,
            file_format,
            f"/dev/fd/{file.fileno()}",
        ]
        options = {
            "memory_bytes": MAX_MEMORY_BYTES,
            "cpu_seconds": ceil(most_cpu_seconds(size)),
            "most_rows": most_rows(size),
            "hidden": list(hidden),
        }
        command.append(json.dumps(options))
        limit = RatioLimit()
        limit.count_packed(size)
        with (
            tempfile.TemporaryFile() as problems,
            subprocess.Popen(  # noqa: S603 - no shell, and our own program
                command, stdout=subprocess.PIPE, stderr=problems, pass_fds=(file.fileno(),)
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            try:
                for line in process.stdout:
                    limit.count_unpacked(len(line))
                    yield SheetRow(*json.loads(line))
                code = process.wait()
            finally:
                process.kill()
            problems.seek(0)
            _check_end(code, problems.read(1_000).decode(errors="replace"))


def _check_end(code: int, sentence: str) -> None:
    """Raise MalformedFile if the process failed. Errors of the libraries may quote cells, so they are not shown."""
    if code == 0:
        return
    if code == table_process.UNUSABLE:
        raise MalformedFile(sentence)
    if code in (table_process.OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL):
        raise MalformedFile(
            f"the file takes more than {MAX_MEMORY_BYTES >> 20} MiB of memory to read; split it, or delete what "
            "stands far outside of its tables"
        )
    if code == -getattr(signal, "SIGXCPU", 0):
        raise MalformedFile("the file takes too long to read for its size; split it")
    raise MalformedFile("the file is damaged; save it anew and send the whole file")
