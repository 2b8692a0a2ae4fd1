"""A user stands beside that user's own password, wherever the chart gives both; KEDA can log in at any broker."""

import re

import pytest
from rendered_chart import CHART, containers, variables

from edugraph_common.runtime.messaging.users import permissions, user_name
from edugraph_common.runtime.shared_state.redis_users import redis_user

EVERYBODY = (
    "workerDefaults.autoscaling.keda.enabled=true",
    "flower.enabled=true",
    'webhooks={"url":"https://x.example/hook","existingSecret":"hook"}',
)
# Key of a password -> who has it; keys of services follow from their names.
OPERATORS = {
    "rabbitmq-password": "edugraph",
    "neo4j-password": "neo4j",
    "flower-password": "admin",
}


def owner(key, vhost="edugraph"):
    """Return the user who has a password of the chart's Secret."""
    if key in OPERATORS:
        return OPERATORS[key]
    server, service = re.fullmatch(r"(rabbitmq|redis)-(\w+)-password", key).groups()
    if server == "redis":
        return redis_user(service)
    return user_name(vhost, service)


def pairs(container):
    """Yield each user and the key of the password beside it. A password without a user raises."""
    own = variables(container)
    texts = {name: variable.get("value", "") for name, variable in own.items()}
    for name, variable in own.items():
        key = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key", "")
        if not key.endswith("password"):
            continue
        user = texts.get(re.sub("PASS(WORD)?$", "USER", name), "")
        if user:
            yield user, key
            continue
        reference = rf"\$\({name}\)"
        # In an address (scheme://user:$(PASSWORD)@host), as user:$(PASSWORD), or in the JSON of the users to make.
        beside = re.findall(
            rf'(?:^|//|")([^/:"\n]+)"?: ?"?{reference}', "\n".join(texts.values()), re.MULTILINE
        )
        assert beside, f"{container['name']}: nobody has the password {name}"
        for each in beside:
            yield each, key


def keda_login(objects):
    """Return the parameters that KEDA gets, each from the objects that its authentication names."""
    (authentication,) = [
        each["spec"] for each in objects if each["kind"] == "TriggerAuthentication"
    ]
    maps = {
        each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"
    }
    given = {each["parameter"]: each for each in authentication["secretTargetRef"]}
    for each in authentication.get("configMapTargetRef", ()):
        # What is not of this release, such as the authorities, stays a reference.
        given[each["parameter"]] = maps.get(each["name"], {}).get(each["key"], each)
    return given


@pytest.mark.parametrize("vhost", ["edugraph", "/", "school.1"])
def test_each_password_stands_beside_its_own_user(chart, pods, vhost):
    """Out: the user of another service beside a password, in _connections.tpl or scaling.yaml."""
    objects = chart.render(*EVERYBODY, f'rabbitmq.vhost="{vhost}"')
    quoted = vhost.replace("/", "%2F")
    seen = set()
    for name, spec in pods(objects).items():
        if name.startswith("StatefulSet/"):
            continue  # servers get the passwords of all users
        for container in containers(spec):
            for user, key in pairs(container):
                is_made_here = (
                    "EDUGRAPH_BROKER_USERS" in variables(container) and user in permissions()
                )
                expected = key.split("-")[1] if is_made_here else owner(key, quoted)
                assert user == expected, f"{name}: the password {key} stands beside {user}"
                seen.add(key)
    login = keda_login(objects)
    assert (
        login["username"] == user_name(quoted, "monitor") == owner(login["password"]["key"], quoted)
    )
    assert seen >= {*OPERATORS, "rabbitmq-importer-password", "redis-importer-password"}


def test_keda_logs_in_as_who_may_only_look(chart):
    """Out: the worker's own user, who may not ask the management API."""
    login = keda_login(chart.render(*EVERYBODY))
    assert login == {
        "username": "edugraph-monitor",
        "password": {
            "parameter": "password",
            "name": "edugraph-credentials",
            "key": "rabbitmq-monitor-password",
        },
    }
    assert permissions()["monitor"].tags == "monitoring"


def test_without_the_job_that_makes_users_keda_is_the_operator(chart):
    login = keda_login(chart.render(*EVERYBODY, "prepare.enabled=false"))
    assert (login["username"], login["password"]["key"]) == ("edugraph", "rabbitmq-password")


def test_keda_knows_the_authority_of_a_broker_outside(chart):
    """Out: `ca`, or `tls`, without which KEDA does not look at it."""
    login = keda_login(chart.render(example="production"))
    assert login["host"]["name"] == "edugraph-rabbitmq"
    assert login["tls"] == "enable"
    assert login["ca"] == {"parameter": "ca", "name": "company-authorities", "key": "ca.crt"}
    plain = keda_login(chart.render('tls.caConfigMap=""', example="production"))
    assert set(plain) == {"host"}


def test_one_job_gets_more_than_one_analyzer(chart, example):
    """Out: 200 messages for a pod, of which one job never has as many."""
    page = (CHART.parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    packs = int(re.search(r"`EDUGRAPH_PACKS_IN_QUEUE` \| `(\d+)`", page).group(1))
    scaled_objects = chart.render(
        "onePod.enabled=false", "workerDefaults.autoscaling.keda.enabled=true", example=example
    )
    for scaled in scaled_objects:
        if scaled["kind"] != "ScaledObject":
            continue
        for trigger in scaled["spec"]["triggers"]:
            if trigger["metadata"]["queueName"] == "llm_analysis":
                assert packs / int(trigger["metadata"]["value"]) >= 2, scaled["metadata"]["name"]
