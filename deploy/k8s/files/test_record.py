"""Sends one record through the gateway and reads it back from insights: the body of `helm test`. The standard library only."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

URL, INSIGHTS = os.environ["EDUGRAPH_URL"], os.environ["EDUGRAPH_INSIGHTS_URL"]
KEY = os.environ["EDUGRAPH_API_KEY"]
END = time.monotonic() + float(os.environ["TEST_SECONDS"])
# The same record each time: however often the test runs, the graph has it once.
RECORD = {
    "type": "course_record",
    "timestamp": "2026-01-01T00:00:00Z",
    "record_id": "helm-test",
    "data": {"student_id": "helm-test", "course_id": "helm-test", "progress": 100},
}


def ask(path, body=None, url=URL):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(what, attempt):
    """A new Service may need some seconds until its name and its pods are known everywhere."""
    while True:
        try:
            found = attempt()
            problem = f"{what}: not yet"
            if found:
                return found
        except urllib.error.HTTPError as error:
            problem = f"{what}: {error.code} {error.read(500).decode(errors='replace')}"
            if error.code in (401, 403, 422):
                sys.exit(problem)
        except OSError as error:
            problem = f"{what}: {error}"
        if time.monotonic() > END:
            sys.exit(f"gave up: {problem}")
        time.sleep(1)


def ended(job_id):
    job = ask(f"/v1/jobs/{job_id}")
    return job if job["state"] not in ("queued", "running", "waiting") else None


accepted = until("sending a record", lambda: ask("/v1/imports", {"records": [RECORD]}))
print("accepted as job", accepted["job_id"], flush=True)
job = until("waiting for the job", lambda: ended(accepted["job_id"]))
print("the job ended:", json.dumps(job), flush=True)
if job.get("failed") or job.get("rejected"):
    sys.exit("the record was not written")
summary = until("reading the graph", lambda: ask("/v1/graph/summary", url=INSIGHTS))
print("the graph has", json.dumps(summary["nodes"]), flush=True)
if not summary["nodes"].get("Student"):
    sys.exit("the record is not in the graph")
print("one record went in and is in the graph")
