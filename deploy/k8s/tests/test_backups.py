"""CronJobs of backups: which there are, what each may touch, and that its server works with it."""

import os
import subprocess

import pytest
from rendered_chart import CHART, variables

ON = ("backups.enabled=true", 'backups.existingClaim="kept"')
KINDS = ("graph", "redis", "objects", "erasures")


def jobs(objects):
    prefix = "edugraph-backup-"
    return {
        item["metadata"]["name"].removeprefix(prefix): item["spec"]
        for item in objects
        if item["kind"] == "CronJob"
    }


def pod(job):
    return job["jobTemplate"]["spec"]["template"]["spec"]


def test_there_is_none_unless_it_is_asked_for(chart, find):
    objects = chart.render()
    assert jobs(objects) == {}
    (server,) = find(objects, "StatefulSet", "edugraph-neo4j")["spec"]["template"]["spec"][
        "containers"
    ]
    assert server["command"] == ["neo4j", "console"]


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ((), set()),
        (('backups.graph.schedule=""',), {"graph"}),
        (
            ('neo4j={"enabled":false,"external":{"existingSecret":"x","uri":"bolt://g"}}',),
            {"graph"},
        ),
        (('redis={"enabled":false,"external":{"existingSecret":"x"}}',), {"redis"}),
        (('backups.objects.schedule=""', 'backups.erasures.schedule=""'), {"objects", "erasures"}),
    ],
)
def test_each_kind_has_a_schedule_or_none(chart, settings, missing):
    found = jobs(chart.render(*ON, *settings))
    assert set(found) == set(KINDS) - missing
    assert all(job["concurrencyPolicy"] == "Forbid" for job in found.values())


def test_schedules_are_in_the_time_zone_that_is_set(chart):
    assert not any("timeZone" in job for job in jobs(chart.render(*ON)).values())
    found = jobs(chart.render(*ON, 'backups.timeZone="Asia/Shanghai"'))
    assert {job["timeZone"] for job in found.values()} == {"Asia/Shanghai"}


def test_a_job_touches_the_shared_folder_of_its_server_or_the_blobs_and_the_backups(chart):
    """Out: subPath: a job could change the files of a database that runs."""
    found = jobs(chart.render(*ON))
    for kind, server in (("graph", "neo4j"), ("redis", "redis")):
        (container,) = pod(found[kind])["containers"]
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert set(mounts) == {"tmp", "backups", "shared"}
        assert mounts["shared"]["subPath"] == "backup"
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod(found[kind])["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        assert claims == ["kept", f"data-edugraph-{server}-0"]
        assert not variables(container)
    (container,) = pod(found["objects"])["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {"tmp", "backups", "blobs"}


def test_a_bucket_needs_no_volume_and_has_its_own_login(chart):
    urls = ('blobs.url="s3://bucket"', 'blobs.credentialsSecret="blobs"')
    to = ("backups.enabled=true", 'backups.url="s3://kept/a"', 'backups.credentialsSecret="both"')
    (container,) = pod(jobs(chart.render(*urls, *to))["objects"])["containers"]
    assert "--to=s3://kept/a" in container["args"]
    assert {"secretRef": {"name": "both"}} in container["envFrom"]
    assert {"secretRef": {"name": "blobs"}} not in container["envFrom"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {"tmp"}


def test_the_servers_start_with_the_scripts_that_answer(chart, find):
    objects = chart.render(*ON)
    for server, script, key in (
        ("neo4j", "neo4j-start.sh", "start.sh"),
        ("redis", "redis-backups.sh", "backups.sh"),
    ):
        data = find(objects, "ConfigMap", f"edugraph-{server}")["data"]
        assert data[key].strip() == (CHART / "files" / script).read_text(encoding="utf-8").strip()
    neo4j = find(objects, "StatefulSet", "edugraph-neo4j")["spec"]["template"]["spec"]
    (container,) = neo4j["containers"]
    assert container["command"] == ["sh", "/etc/edugraph/neo4j/start.sh", "neo4j", "/data/backup"]
    probe = container["startupProbe"]
    # A dump or a load may take as long as the job waits.
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 10800
    redis = find(objects, "StatefulSet", "edugraph-redis")["spec"]["template"]["spec"]
    assert ". /etc/edugraph/backups.sh\nexec redis-server" in redis["containers"][0]["command"][-1]


def test_a_place_is_asked_for(chart):
    assert "set backups.url, or backups.existingClaim" in chart.refusal("backups.enabled=true")


@pytest.mark.parametrize(
    ("blobs", "backups"),
    [("s3://b", "s3://b"), ("s3://b", "s3://b/backups"), ("s3://b/blobs/", "s3://b/")],
)
def test_backups_are_not_below_the_blobs(chart, blobs, backups):
    urls = (f'blobs.url="{blobs}"', f'backups.url="{backups}"')
    assert "are below each other" in chart.refusal("backups.enabled=true", *urls)
    elsewhere = (f'blobs.url="{blobs}"', 'backups.url="s3://b-kept"')
    assert jobs(chart.render("backups.enabled=true", *elsewhere))


def test_a_job_follows_the_volume_that_it_reads(chart):
    for kind, where in {"graph": "neo4j", "redis": "redis", "objects": "gateway"}.items():
        affinity = pod(jobs(chart.render(*ON))[kind])["affinity"]["podAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == where
    shared = chart.render(*ON, 'blobs.volume.accessMode="ReadWriteMany"')
    assert "affinity" not in pod(jobs(shared)["objects"])


# The file format of Redis begins with its name and ends with the byte 255 and a checksum of eight bytes.
DUMP = b"REDIS0012" + b"\xff" + bytes(8)
CHECK = r"""#!/bin/sh
# Refuses a dump without its beginning or its end, as redis-check-rdb does.
test "$(head -c 5 "$1")" = REDIS && tail -c 9 "$1" | od -An -tx1 | grep -q '^ ff'
"""


@pytest.fixture
def path_with_check(tmp_path_factory):
    """Return a PATH with a program in the place of redis-check-rdb, which machines without Redis do not have."""
    folder = tmp_path_factory.mktemp("programs")
    program = folder / "redis-check-rdb"
    program.write_text(CHECK)
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def start_of_redis(data, path):
    """Run what the start script of Redis does before Redis starts."""
    script = CHART / "files" / "redis-backups.sh"
    command = f'data="{data}"; . "{script}"; kill $!'
    environment = {**os.environ, "PATH": path}
    subprocess.run(["sh", "-c", command], check=True, timeout=20, env=environment)


@pytest.mark.parametrize("dump", [None, b"", DUMP[:-9], DUMP[9:], b"a page of a proxy"])
def test_redis_loads_a_dump_once_and_keeps_its_data_without_one(tmp_path, path_with_check, dump):
    """Out: the copy into a folder of its own, or `redis-check-rdb`."""
    old = tmp_path / "appendonlydir" / "appendonly.aof.1.base.rdb"
    old.parent.mkdir()
    old.write_text("old data")
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "load-wanted").touch()
    if dump is not None:
        (folder / "dump.rdb").write_bytes(dump)
    start_of_redis(tmp_path, path_with_check)
    assert old.read_text() == "old data"
    assert not (folder / "load-wanted").exists()
    assert (folder / "failed").exists()

    (folder / "failed").unlink()
    (folder / "load-wanted").touch()
    (folder / "dump.rdb").write_bytes(DUMP)
    start_of_redis(tmp_path, path_with_check)
    assert old.read_bytes() == DUMP
    assert sorted(path.name for path in tmp_path.iterdir()) == ["appendonlydir", "backup"]
    # The dump was loaded, but Redis has not answered yet: a container that starts again loads it again.
    assert (folder / "load-wanted").exists()
