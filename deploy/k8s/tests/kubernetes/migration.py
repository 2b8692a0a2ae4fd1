"""An upgrade to a release with a later schema version: rolled back, held, and allowed."""

from __future__ import annotations

import json

from release import RELEASE, Failed, Release, Report, records

NEXT = 'importer.image.tag="next"'  # build.py makes this image: the importer with one more schema version
LOOK = """
from edugraph_importer.graph import GraphSettings
from edugraph_importer.graph.driver import Connection
graph = Connection(GraphSettings())
steps = "MATCH (l:Lock {id: 'step of the next release'}) RETURN l.times AS times"
versions = [row["version"] for row in graph.read("MATCH (s:Schema) RETURN s.version AS version")]
print(*versions, sum(row["times"] for row in graph.read(steps)))
"""


def migration(release: Release, report: Report) -> None:
    helm = f"Helm {release.helm}"
    before, steps_before = _graph(release)
    with report.step(
        f"14 {helm}: an upgrade that would migrate fails, is rolled back, and imports go on"
    ) as figures:
        back = "--rollback-on-failure" if release.helm == "4" else "--atomic"
        broken = release.chart(NEXT, 'insights.image.tag="no-such-tag"')
        done = release.run_helm("upgrade", *broken, back, "--timeout", "90s", check=False)
        if done.returncode == 0:
            raise Failed("the broken upgrade was taken for good")
        release.rolled_out()
        figures.append(f"{_imported(release, f'back-{release.helm}')} written")
        _expect(release, before, steps_before)
    with report.step(f"14 {helm}: an upgrade of the importer that allows a migration is refused"):
        done = release.run_helm(
            "upgrade", *release.chart(NEXT, f"migrations.allow={before + 1}"), check=False
        )
        if (
            done.returncode == 0
            or "allow the migration in an upgrade of its own" not in done.stderr
        ):
            raise Failed(f"ended with {done.returncode}: {done.stderr[-600:]}")
        _expect(release, before, steps_before)
    with report.step(
        f"14 {helm}: the new importers keep their work, and the job names both versions"
    ) as figures:
        release.run_helm("upgrade", *release.chart(NEXT), "--wait", "--timeout", "600s")
        with release.gateway() as gateway:
            job = gateway.send(records(20, f"kept-{release.helm}"))
            release.until("the reason", lambda: gateway.report(job).get("waiting_for"))
            reason = str(gateway.report(job)["waiting_for"])
        if f"schema version {before}, and this importer writes version {before + 1}" not in reason:
            raise Failed(reason)
        _expect(release, before, steps_before)
        figures.append(reason[:80])
    with report.step(
        f"14 {helm}: migrations.allow migrates the graph once, and the work goes on"
    ) as figures:
        allowed = release.chart(NEXT, f"migrations.allow={before + 1}")
        release.run_helm("upgrade", *allowed, "--wait", "--timeout", "600s")
        with release.gateway() as gateway:
            release.until("the import's end", lambda: gateway.ended(job))
            found = gateway.report(job)
        if (found["state"], found["written"]) != ("succeeded", 20):
            raise Failed(json.dumps(found)[:600])
        _expect(release, before + 1, steps_before + 1)
        figures.append(f"version {before + 1}")


def _imported(release: Release, term: str) -> int:
    with release.gateway() as gateway:
        job = gateway.send(records(20, term))
        release.until("the import's end", lambda: gateway.ended(job))
        found = gateway.report(job)
    if found["state"] != "succeeded":
        raise Failed(json.dumps(found)[:600])
    return int(found["written"])


def _graph(release: Release) -> tuple[int, int]:
    """Return the schema version of the graph, and how often the step of the next release was done."""
    told = release.kubectl("exec", f"deployment/{RELEASE}-importer", "--", "python", "-c", LOOK)
    version, steps = told.split()  # more than one version fails here
    return int(version), int(steps)


def _expect(release: Release, version: int, steps: int) -> None:
    found = _graph(release)
    if found != (version, steps):
        raise Failed(f"the graph has (version, steps) {found}, and not {(version, steps)}")
