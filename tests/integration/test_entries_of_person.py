"""What Redis keeps of jobs and results is found by whole values, in every kind of key."""

import json

import redis

from edugraph_common.runtime.shared_state.job_store import Jobs, connect


def test_entries_are_found_by_whole_values(
    server: "redis.Redis", redis_url: str, name: str
) -> None:
    wanted, other = f"S01-{name}", f"S01-{name}4"
    task = ["import_records_with_callback", {"records": [{"data": {"student_id": wanted}}]}, "id"]
    server.set(f"edugraph:job:{{{name}}}:tasks", json.dumps([task]))
    server.rpush(
        f"edugraph:job:{{{name}}}:errors",
        json.dumps({"found": wanted}),
        json.dumps({"found": other}),
    )
    server.hset(
        f"edugraph:job:{{{name}}}:batches",
        mapping={"0": json.dumps({"errors": [{"found": other}]}), "1": wanted},
    )
    server.set(
        f"celery-task-meta-{name}", json.dumps({"result": [{"record_id": wanted, "finding": {}}]})
    )
    server.set(f"celery-task-meta-{name}-2", json.dumps({"result": [{"record_id": other}]}))
    server.set(f"edugraph:other:{name}", json.dumps(wanted))
    found = [
        (key, value)
        for key, value in Jobs(connect(redis_url)).entries_with({wanted})
        if name in key
    ]
    assert found == [
        (f"edugraph:job:{{{name}}}:tasks", [task]),
        (f"edugraph:job:{{{name}}}:batches", wanted),
        (f"edugraph:job:{{{name}}}:errors", {"found": wanted}),
        (f"celery-task-meta-{name}", {"result": [{"record_id": wanted, "finding": {}}]}),
    ]
