"""`make shared-state-page`: writes docs/shared-state.md, all keys in Redis with their writers and readers.

The keys are those of the registry of personal data, and the services are those of Redis' users.
"""

from pathlib import Path

from edugraph_common.contracts.personal_data import PLACES, DataPlace, Store
from edugraph_common.runtime.shared_state.redis_users import ACCESS, SERVICES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "shared-state.md"
HEAD = """\
# Shared state

Made by `make shared-state-page` from the registry of personal data (`contracts/personal_data.py`) and from Redis'
users (`redis_users.py`); do not edit it here. The code is in `libs/common/src/edugraph_common/runtime/shared_state`.

Services send each other messages over RabbitMQ, and they share the keys below. A service that is not in a row has no
access: Redis refuses its user. Commands that need the administrator's login write the keys without a writer, such as
`edugraph keys create`. [privacy.md](privacy.md) has what each key holds of a person, and what erases it.

| key | serves | written by | only read by | kept |
|---|---|---|---|---|
"""


def page() -> str:
    rows = [_row(place) for place in PLACES if place.store is Store.REDIS]
    return HEAD + "".join(rows)


def _row(place: DataPlace) -> str:
    keys = "<br>".join(f"`{pattern}`" for pattern in place.patterns)
    writers: list[str] = []
    readers: list[str] = []
    for service in SERVICES:
        access = ACCESS[service]
        if place.name in access.uses:
            writers.append(service)
        elif place.name in access.appends:
            writers.append(f"{service} (adds at the end)")
        elif place.name in access.reads:
            readers.append(service)
    written_by = ", ".join(writers) or "–"
    read_by = ", ".join(readers) or "–"
    return f"| {keys} | {place.purpose.en} | {written_by} | {read_by} | {place.kept.en} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
