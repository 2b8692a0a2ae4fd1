"""The bytes for reading a range, and the memory of uploads, with a real S3 server: `make bench-s3`.

A proxy in front of the server counts the bytes, including headers. The bench prints one table with the goals and
exits with 1 if a goal is missed. BENCH_ARGS=--smoke measures fewer and smaller uploads with the same goals.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from engines import bench
from gateway_alone import virtual_host
from s3_server import MEBIBYTE, Bucket, bucket_on, range_factor, s3_server, uploads_at_once

from edugraph_common.runtime.shared_state.object_store import Blobs

OBJECT_BYTES = 100 * MEBIBYTE
RANGES_BYTES = (100_000, 300_000, 3_000_000, 30_000_000)
RANGES_OF_A_LENGTH = 5
MOST_FACTOR = 1.1
MOST_MEMORY_MIB = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="4 uploads of 64 MiB")
    smoke = parser.parse_args().smoke
    number = 4 if smoke else 16
    mebibytes = 64 if smoke else 200

    with bench(), s3_server() as server, bucket_on(server) as bucket, virtual_host() as addresses:
        os.environ.update(bucket.environment)
        factors = _range_factors(bucket)
        with tempfile.TemporaryDirectory() as folder:
            uploads = uploads_at_once(addresses, bucket, Path(folder), number, mebibytes)

    # (what is measured, figure, goal, whether it is met)
    rows: list[tuple[str, str, str, bool]] = []
    for length, factor in factors.items():
        what = f"bytes downloaded for a range of {length:,} bytes, as a multiple"
        rows.append((what, f"{factor:.3f}", f"<= {MOST_FACTOR}", factor <= MOST_FACTOR))
    sent_factor = uploads.sent_bytes / (number * mebibytes * MEBIBYTE)
    what = f"bytes sent for {number} uploads of {mebibytes} MiB at once, as a multiple"
    rows.append((what, f"{sent_factor:.3f}", f"<= {MOST_FACTOR}", sent_factor <= MOST_FACTOR))
    what = f"peak memory of the gateway then, MiB (before: {uploads.before_mib})"
    rows.append(
        (what, str(uploads.peak_mib), f"< {MOST_MEMORY_MIB}", uploads.peak_mib < MOST_MEMORY_MIB)
    )

    for what, figure, goal, is_met in rows:
        print(f"{what:<75}{figure:>10}{goal:>10}  {'ok' if is_met else 'MISSED'}")
    return 0 if all(is_met for _, _, _, is_met in rows) else 1


def _range_factors(bucket: Bucket) -> dict[int, float]:
    """Return length of a range -> the largest factor of some ranges at random positions."""
    blobs = Blobs(bucket.url)
    places = random.Random(16)
    with blobs.write("jobs/1/source") as file:
        for _ in range(OBJECT_BYTES // MEBIBYTE):
            file.write(places.randbytes(MEBIBYTE))
    factors = {}
    for length in RANGES_BYTES:
        offsets = [places.randrange(OBJECT_BYTES - length) for _ in range(RANGES_OF_A_LENGTH)]
        factors[length] = max(
            range_factor(bucket, blobs, "jobs/1/source", offset, length) for offset in offsets
        )
    return factors


if __name__ == "__main__":
    sys.exit(main())
