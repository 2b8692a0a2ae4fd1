"""Two schools share one RabbitMQ and one Redis, and nothing of one school is found at the other.

Both schools send the same ids of students, courses, records, dead letters and requests, so that any name that does not
have the school in it would meet. Their texts and names differ: each has a word that occurs nowhere else. Afterwards
every answer, reject, dead letter, key, blob, message, metric and log line of a school is searched for the other's word.
"""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pika
import pytest
from beside import scripted_provider
from every_store import Ground
from marked_data import STUDENT, Marked, hits_of
from several_schools import School, running, shared_servers
from waiting import until

from edugraph_cli.serving import BROKER, MANAGEMENT
from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.contracts.personal_data import Store
from edugraph_common.contracts.routes import QUEUES

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
SEEDS = range(2)
# Each word of a school is in every name and text of it.
WORDS = {"harbour": "zephyranthes", "lakeside": "quillaja"}
SOURCE = "platform"


def word_of(school: School) -> str:
    return WORDS[school.name]


def rows_of(word: str, seed: int) -> list[dict[str, Any]]:
    """Return records of every kind that carries names or texts. Only the word depends on the school."""
    draw = random.Random(seed)
    rows = []
    for number in range(draw.randint(6, 12)):
        student = draw.choice([STUDENT, "s-2", "s-3"])
        person = {"student_id": student, "student_name": f"{word} {student}"}
        course = {**person, "course_id": "c-1"}
        text = f"{word} wrote {draw.choice(['1/2 + 1/3 = 2/5', '3 x 0 = 3'])}"
        kinds = {
            "error_record": {**course, "error_text": text, "error_type": f"kind of {word}"},
            "student_interaction": {
                "student_id_from": student,
                "student_id_to": "s-4",
                "student_name_from": f"{word} {student}",
                "interaction_type": "chat",
                "text": text,
                "topics": [f"topic of {word}"],
            },
            "post_record": {**course, "thread_id": "t-1", "title": word, "text": text},
            "attempt_record": {**course, "item_id": "i-1", "response": text, "correct": False},
        }
        kind = draw.choice(list(kinds))
        rows.append(
            {
                "type": kind,
                "record_id": f"{kind}-{seed}-{number}",
                "timestamp": f"2026-03-{draw.randint(1, 28):02d}T08:00:00Z",
                "data": kinds[kind],
            }
        )
    return rows


def wrong_rows_of(word: str) -> list[dict[str, Any]]:
    right = rows_of(word, 0)[0]
    return [
        {**right, "timestamp": f"{word} o'clock"},
        {"type": f"{word}_record", "data": {word: 1}},
    ]


def send_import(school: School, seed: int) -> None:
    """The key of the request is the same in both schools, as a client of both could make it."""
    records = [*rows_of(word_of(school), seed), *wrong_rows_of(word_of(school))]
    answer = httpx.post(
        f"{school.system.url}/v1/imports",
        json={"records": records, "analyze": True},
        headers={"Idempotency-Key": f"import-{seed}"},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    school.jobs.append(answer.json()["job_id"])


def send_live(school: School, seed: int) -> None:
    answer = httpx.post(
        f"{school.system.url}/v1/sources/{SOURCE}/records",
        json={"records": [*rows_of(word_of(school), 1000 + seed), *wrong_rows_of(word_of(school))]},
        headers={"Idempotency-Key": f"live-{seed}"},
        timeout=60,
    )
    assert answer.status_code in (200, 202, 207), answer.text


def bury(school: School, seed: int) -> None:
    """Put a dead letter into the school's queue, with the id that the other school's letter has."""
    batch = {
        "version": 1,
        "job_id": "j",
        "batch": 0,
        "records": rows_of(word_of(school), 2000 + seed),
    }
    address = pika.URLParameters(school.system.engine.environment[BROKER])
    with pika.BlockingConnection(address) as connection:
        properties = pika.BasicProperties(
            content_type="application/json",
            headers={"id": f"buried-{seed}", "task": "import_batch_task"},
            delivery_mode=2,
        )
        body = json.dumps([[batch], {}, {"chord": None}]).encode()
        connection.channel().basic_publish("", "data_import.dead", body, properties)


def ask(school: School, seed: int) -> None:
    """Ask before the work is done, so that answers are kept while the graph changes."""
    with school.ask() as client:
        for path in (
            "/v1/insights/weak-points?course=c-1",
            f"/v1/insights/student?student={STUDENT}",
        ):
            assert client.get(path).status_code < 500, seed


STEPS = (send_import, send_live, bury, ask)


@pytest.fixture(scope="module")
def schools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[School]]:
    shared = shared_servers()
    with ExitStack() as stack:
        provider = stack.enter_context(scripted_provider())
        found = []
        for name in WORDS:
            settings = {
                "EDUGRAPH_OPENAI_API_KEY": f"key-of-{name}",
                "EDUGRAPH_OPENAI_BASE_URL": provider,
            }
            folder = tmp_path_factory.mktemp(name)
            school = stack.enter_context(running(name, shared, folder, settings))
            school.system.client.create_source({"name": SOURCE, "kind": "records"})
            found.append(school)
        yield found


def work(schools: list[School], seed: int) -> None:
    """Have both schools do all steps in a random order, one after the other without waiting."""
    order = [(school, step) for school in schools for step in STEPS]
    random.Random(seed).shuffle(order)
    for school, step in order:
        step(school, seed)


def wait_for_all(school: School) -> None:
    client = school.system.client
    for job_id in school.jobs:
        until(lambda job_id=job_id: client.job(job_id).state in ENDED, 60)  # type: ignore[misc]
        report = client.job(job_id)
        assert report.rejected == 2, "each school has its own rows set aside"
        assert report.analysis.done > 0
    until(lambda: client.live_day(SOURCE).oldest_waiting is None, 30)
    until(lambda: len(client.dead_letters("data_import", 100)["letters"]) == len(SEEDS), 30)


def test_nothing_of_one_school_is_found_at_the_other(schools: list[School]) -> None:
    """Out: the virtual host of a school, or the prefix before the keys of one service."""
    for seed in SEEDS:
        work(schools, seed)
    for school in schools:
        wait_for_all(school)

    for school in schools:
        (other,) = [each for each in schools if each is not school]
        assert set(school.jobs).isdisjoint(other.jobs)
        letters = [f"buried-{seed}" for seed in SEEDS]
        marked = Marked(school.system, tuple(school.jobs), tuple(letters))
        with school.ask() as client:
            own_answers = hits_of(marked, client, (word_of(school),), only=("GET",))
            assert {path.split("/")[2] for path in own_answers} >= {
                "jobs",
                "insights",
                "dead-letters",
            }
            assert hits_of(marked, client, (word_of(other),), only=("GET",)) == {}


def test_no_place_of_a_school_holds_a_word_of_the_other(schools: list[School]) -> None:
    """Keys of Redis are read by its administrator, who sees those of all schools."""
    prefixes = tuple(school.prefix for school in schools)
    for school in schools:
        (other,) = [each for each in schools if each is not school]
        own_stores = set()
        own_keys = []
        for store, place, text in Ground(school.system).places():
            if store is Store.REDIS:
                assert place.startswith(prefixes), f"the key {place} has no school"
                if not place.startswith(school.prefix):
                    continue
                own_keys.append(place.removeprefix(school.prefix))
            assert word_of(other) not in text, f"{school.name}: {store} {place}"
            if word_of(school) in text:
                own_stores.add(store)
        # The search sees what it looks for.
        assert own_stores >= {Store.REDIS, Store.BLOBS, Store.GRAPH}
        assert any(key.startswith("edugraph:llm:answer:") for key in own_keys)


def test_each_school_has_queues_of_its_own(schools: list[School]) -> None:
    for school in schools:
        environment = school.system.engine.environment
        name = environment[BROKER].rpartition("/")[2]
        with httpx.Client(base_url=environment[MANAGEMENT], timeout=30) as api:
            queues = {queue["name"] for queue in api.get(f"/api/queues/{name}").json()}
        assert queues >= set(QUEUES)
        assert name.startswith(school.name)
