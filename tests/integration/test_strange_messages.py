"""What is no task, whoever put it into a queue, becomes a dead letter and ends no worker."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request
from hypothesis import given
from hypothesis import strategies as st
from kombu.message import Message
from traps import TRAP, Bench
from waiting import until

from edugraph_common.runtime.messaging.worker.reject_policy import refuse_what_is_no_task

BODY = [[{"job_id": "t"}], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
HEADERS = {
    "id": "strange",
    "task": TRAP,
    "lang": "py",
    "root_id": None,
    "parent_id": None,
    "group": None,
}
JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.just("args"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.just("args"), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(
    body=values | st.just(BODY) | st.tuples(values, values, values).map(list),
    more=st.dictionaries(
        st.sampled_from([*HEADERS, "timelimit", "shadow", "eta", "expires", "ignore_result"]),
        values,
    ),
    without=st.sets(st.sampled_from(sorted(HEADERS)), max_size=2),
    form=st.sampled_from(
        [JSON, JSON, {}, {**JSON, "content_encoding": "klingon"}, {"content_type": "text/x"}]
    ),
)
def test_celery_can_take_whatever_is_not_refused(
    body: Any, more: dict[str, Any], without: set[str], form: dict[str, str]
) -> None:
    """Celery itself is the reference: it must find nothing wrong with the form, or say so in the way that is caught."""
    headers = {name: value for name, value in {**HEADERS, **more}.items() if name not in without}
    message = Message(
        json.dumps(body).encode(), headers=headers, accept={"application/json"}, **form
    )
    try:
        refuse_what_is_no_task(message)
    except InvalidTaskError:
        assert (body, headers, form) != (BODY, HEADERS, JSON)
        return
    task = SimpleNamespace(ignore_result=False)
    app = SimpleNamespace(
        tasks={TRAP: task}, timezone=None, conf=SimpleNamespace(timezone="UTC", enable_utc=True)
    )
    try:
        request = Request(message, app=app, task=task, utc=True)
    except InvalidTaskError:
        return  # told by `on_invalid_task`
    hash(request.id)
    seconds, soft_seconds = request.time_limits
    assert not isinstance(seconds, str | list | dict)
    assert not isinstance(soft_seconds, str | list | dict)


@pytest.mark.real
def test_strange_messages_are_buried_and_the_worker_goes_on(bench: Bench) -> None:
    """Out: `create_task_handler` in reject_policy; then the first of them ends the worker."""
    strange: list[tuple[bytes, dict[str, Any], dict[str, str]]] = [
        (json.dumps(BODY).encode(), HEADERS, {}),  # sent again without what it is
        (b"", HEADERS, JSON),
        (b"7", HEADERS, JSON),
        (b'{"args": []}', HEADERS, JSON),
        (b"[[], {}]", HEADERS, JSON),
        (json.dumps(BODY).encode(), {**HEADERS, "id": None}, JSON),
        (json.dumps(BODY).encode(), {**HEADERS, "timelimit": [1]}, JSON),
        (json.dumps(BODY).encode(), {**HEADERS, "shadow": "another"}, JSON),
        # Celery sent such messages long ago, without an id.
        (json.dumps({"task": TRAP, "args": []}).encode(), {}, JSON),
    ]
    worker = bench.start()
    with bench.app.producer_pool.acquire() as producer:
        for body, headers, form in strange:
            producer.publish(
                body, exchange="edugraph.tasks", routing_key="import.batch", headers=headers, **form
            )
    task_id = bench.send(name=TRAP)
    until(lambda: bench.state(task_id) == "SUCCESS")
    until(lambda: bench.dead() == len(strange))
    assert worker.alive()
    assert worker.logged("message_refused") == len(strange)
