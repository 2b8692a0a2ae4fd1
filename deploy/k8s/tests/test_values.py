"""Wrong values are refused with a sentence, and every value is documented and known to the schema."""

import json
import re

import pytest
import yaml
from rendered_chart import CHART


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("workers.importer.terminationGracePeriodSeconds=60", "Set the grace period to 75 or more"),
        ("workerDefaults.softShutdownSeconds=300", "Kubernetes would kill running tasks"),
        (
            'workers.importer.autoscaling={"hpa":{"enabled":true},"keda":{"enabled":true}}',
            "two would fight over the same pods",
        ),
        ('workers.importer.autoscaling.hpa={"enabled":true,"min":5,"max":2}', "min is above max"),
        ("gateway.terminationGracePeriodSeconds=10", "must be 36 or more"),
        ("insights.terminationGracePeriodSeconds=10", "must be 36 or more"),
        (
            'gateway={"ingress":{"enabled":true,"host":"a"},"httpRoute":{"enabled":true,"parentRefs":[{}]}}',
            "choose one way in",
        ),
        ("gateway.ingress.enabled=true", "set gateway.ingress.host"),
        ("gateway.httpRoute.enabled=true", "name the Gateway it joins"),
        ('webhooks.url="https://a.example"', "webhooks.existingSecret"),
        ('login.issuer="https://id.example"', "login.redirectUrl"),
        ("gateway.replicas=2", "there can be one gateway only"),
        ("gateway.replicas=0", "there can be one gateway only"),
        ("gateway.autoscaling.hpa.enabled=true", "there can be one gateway only"),
        ('gateway={"replicas":3,"pdb":{"enabled":false}}', "there can be one gateway only"),
        ("gateway.pdb.maxUnavailable=0", "no drain of its node would end"),
        ('insights.pdb.maxUnavailable="0%"', "no drain of its node would end"),
        ("workerDefaults.pdb.maxUnavailable=0", "workers.analyzer.pdb.maxUnavailable is 0"),
        (
            'workers.findings={"pdb":{"maxUnavailable":"00%"}}',
            "workers.findings.pdb.maxUnavailable is 00%",
        ),
        ('gateway.auth.mode="off"', "Set gateway.auth.openToNetwork=true"),
        ("rabbitmq.enabled=false", "set rabbitmq.external.existingSecret"),
        ("networkPolicy.extraEgress.gatway=[{}]", "the chart has no such component"),
        ("redis.enabled=false", "set redis.external.existingSecret"),
        ('redis.keyPrefix="school-a:"', "the users of the bundled one know no prefix"),
        (
            """redis={"enabled":false,"keyPrefix":"a:","external":{"existingSecret":"x",
            "urlKeys":{"gateway":"g","insights":"i","importer":"m"}}}""",
            "redis.external.urlKeys.analyzer",
        ),
        ("redis.resources.limits=null", "set redis.resources.limits.memory"),
        ('redis.resources.limits.memory="much"', "set redis.resources.limits.memory"),
        ("neo4j.enabled=false", "set neo4j.external.uri"),
        (
            'workers.redis={"service":"importer","queues":["data_import"]}',
            "another part of the chart has that name",
        ),
    ],
)
def test_combinations_that_cannot_work(chart, setting, sentence):
    assert sentence in chart.refusal(setting)


@pytest.mark.parametrize(
    ("setting", "api"),
    [
        ("workerDefaults.autoscaling.keda.enabled=true", "keda.sh/v1alpha1"),
        ("monitoring.enabled=true", "monitoring.coreos.com/v1"),
    ],
)
def test_what_the_cluster_lacks(chart, setting, api):
    refusal = chart.refusal(setting, apis=())
    assert "Install" in refusal
    assert api in refusal


def test_insights_reads_what_the_school_sets(chart, find):
    """Out: a variable of the template."""
    objects = chart.render(
        'insights.headSees="cells"',
        'insights.schoolTimeZone="Asia/Shanghai"',
        'insights.schoolName="东方中学"',
    )
    pod = find(objects, "Deployment", "edugraph-insights")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert {"name": "EDUGRAPH_HEAD_SEES", "value": "cells"} in container["env"]
    assert {"name": "EDUGRAPH_SCHOOL_TIME_ZONE", "value": "Asia/Shanghai"} in container["env"]
    assert {"name": "EDUGRAPH_SCHOOL_NAME", "value": "东方中学"} in container["env"]


def test_without_authentication_the_network_is_named(chart, find):
    objects = chart.render('gateway.auth.mode="off"', "gateway.auth.openToNetwork=true")
    for name in ("gateway", "insights"):
        pod = find(objects, "Deployment", f"edugraph-{name}")["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert {"name": "EDUGRAPH_OPEN_TO_NETWORK", "value": "true"} in container["env"]


@pytest.mark.parametrize(
    ("setting", "about"),
    [
        ("unknown=1", "unknown"),
        ("gateway.replica=3", "replica"),
        ("gateway.replicas=-1", "replicas"),
        ('gateway.replicas="two"', "replicas"),
        ('gateway.auth.mode="none"', "mode"),
        ('images.pullPolicy="Sometimes"', "pullPolicy"),
        ('images.tag="latest"', "tag"),
        ('gateway.image.digest="sha256:12"', "digest"),
        ("gateway.service.port=70000", "port"),
        ('logs.level="LOUD"', "level"),
        ('blobs.url="/a/folder"', "url"),
        ('blobs.volume.accessMode="ReadOnlyMany"', "accessMode"),
        ('neo4j.external.uri="http://graph"', "uri"),
        ('neo4j.heap="much"', "heap"),
        ("analyzer.model.requestsPerMinute=0", "requestsPerMinute"),
        ("podSecurity.runAsUser=0", "runAsUser"),
        ('workers.importer.queues=["imports"]', "workers"),
        ('workers.importer.service="flower"', "workers"),
        ('insights.headSees="all"', "headSees"),
        ("workers.importer.replica=3", "workers"),
        ("workerDefaults.autoscaling.keda.messagesPerPod=0", "messagesPerPod"),
        ('gateway.env=[{"value":"x"}]', "env"),
        ('monitoring.interval="often"', "interval"),
        ("monitoring.rules.errorBudget=0", "errorBudget"),
        ("monitoring.rules.errorBudget=0.5", "errorBudget"),
        ('monitoring.rules.runbookUrl="docs/runbook.md"', "runbookUrl"),
        ('webhooks.url="ftp://a.example"', "url"),
    ],
)
def test_values_of_the_wrong_form(chart, setting, about):
    refusal = chart.refusal(setting)
    assert "schema" in refusal
    assert about in refusal


def test_every_value_has_a_comment():
    """`# -- text` above each value that has no values below it, or above the value that holds them."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    uncommented = []
    for number, line in enumerate(lines):
        key = re.match(r"^( *)([A-Za-z]+):(.*)$", line)
        before = next((text.strip() for text in reversed(lines[:number]) if text.strip()), "")
        if key and not before.startswith("#") and not _documented_above(lines, number):
            uncommented.append(f"{number + 1}: {line}")
    assert uncommented == []


def _documented_above(lines: list[str], number: int) -> bool:
    """Groups need no comment of their own; the keys of one worker group are those of workerDefaults."""
    line = lines[number]
    indent = len(line) - len(line.lstrip())
    is_group = not line.split(":", 1)[1].strip()
    for above in reversed(lines[:number]):
        depth = len(above) - len(above.lstrip())
        if above.strip() and depth < indent and not above.lstrip().startswith("#"):
            return is_group or above.strip() in (
                "importer:",
                "splits:",
                "findings:",
                "analyzer:",
                "resources:",
                "external:",
            )
    return is_group


def test_the_schema_knows_exactly_the_values():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(values) | {"global"} == set(schema["properties"])
    assert _differences(values, schema, schema) == []


def _differences(values, schema, root, path=""):
    """Keys that only one of the two has."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    if not isinstance(values, dict) or schema.get("additionalProperties") is not False:
        return []
    known = schema["properties"]
    missing = [f"{path}.{key}: not in the schema" for key in values if key not in known]
    return missing + [
        x
        for k in values
        if k in known
        for x in _differences(values[k], known[k], root, f"{path}.{k}")
    ]
