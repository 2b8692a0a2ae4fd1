"""What is sent into the system, by a client that keeps its Idempotency-Key and sends again until it is accepted."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from uuid import uuid4

import httpx
from made_records import made_records

from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.records import parse_record

SMALL_JOBS, SMALL_RECORDS = 12, 50
BATCH_SIZE = 1_000
MAIN_SEED, TEXTS_SEED, FIRST_SMALL_SEED = 7, 8, 100
SMALL_EVERY = 1.5  # seconds between two small jobs
GIVE_UP = 180  # seconds that one submission may take


@dataclass(frozen=True)
class Food:
    """Files of records, the same for every seed of chaos: the large import, the texts to be read, small jobs."""

    main: Path
    texts: Path
    small: list[Path]


@dataclass
class Client:
    """`options` of each import, beside its name. `accepted`: job ids by file name. `longest_stall`: seconds that the
    slowest submission took.
    """

    url: str
    options: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    sent_again: int = 0
    longest_stall: float = 0.0

    def submit(
        self, path: Path, *, analyze: bool = False, while_: Callable[[], bool] = lambda: True
    ) -> str:
        began, key = time.monotonic(), uuid4().hex
        while while_() and time.monotonic() - began < GIVE_UP:
            answer = self._once(path, key, analyze=analyze)
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                self.longest_stall = max(self.longest_stall, time.monotonic() - began)
                self.accepted[path.name] = answer.json()["job_id"]
                return self.accepted[path.name]
            self.sent_again += 1
            time.sleep(0.5)
        raise RuntimeError(f"{path.name} was not accepted within {GIVE_UP} s")

    def _once(self, path: Path, key: str, *, analyze: bool) -> httpx.Response | None:
        options = {
            "name": path.name,
            "batch_size": str(BATCH_SIZE),
            "analyze": str(analyze).lower(),
        }
        options |= self.options
        headers = {"Idempotency-Key": key, "Content-Type": "application/x-ndjson"}
        try:
            answer = httpx.post(
                f"{self.url}/v1/imports",
                params=options,
                headers=headers,
                content=path.read_bytes(),
                timeout=60,
            )
        except httpx.HTTPError:
            return None
        # Whatever else it answers is no fault of the network: a client would give up, and so does this one.
        assert answer.status_code in (202, 503), (
            f"{path.name}: {answer.status_code} {answer.text[:300]}"
        )
        return answer


def cook(folder: Path, records: int, texts: int) -> Food:
    folder.mkdir(parents=True, exist_ok=True)
    small = [
        _write(folder / f"small-{n}.ndjson", made(SMALL_RECORDS, FIRST_SMALL_SEED + n))
        for n in range(SMALL_JOBS)
    ]
    main = _write(folder / "main.ndjson", made(records, MAIN_SEED))
    return Food(
        main=main,
        texts=_write(folder / "texts.ndjson", islice(_readable(texts), texts)),
        small=small,
    )


def made(records: int, seed: int) -> Iterator[str]:
    return (json.dumps(record, ensure_ascii=False) for record in made_records(records, seed))


def _readable(texts: int) -> Iterator[str]:
    """Records with a text to be read."""
    for seed in count(TEXTS_SEED, 1_000):
        for line in made(2 * texts, seed):
            if kind_to_read(parse_record(json.loads(line))):
                yield line


def _write(path: Path, lines: Iterator[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
