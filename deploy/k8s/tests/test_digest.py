"""The CronJob of weekly mails: when it runs, what it knows, and what only it may reach."""

import pytest
from enforced import Network, Outside, component
from rendered_chart import variables

ON = (
    "digest.enabled=true",
    'digest.existingSecret="mail"',
    'digest.pageUrl="https://a.example/ui/"',
    'digest.from="no-reply@a.example"',
)
MAIL_SERVER = Outside("203.0.113.7")


def job_of(objects):
    """Return the CronJob of weekly mails, or None."""
    for each in objects:
        if each["kind"] == "CronJob" and each["metadata"]["name"] == "edugraph-digest":
            return each["spec"]
    return None


def container_of(job):
    (container,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return container


def test_it_runs_on_monday_morning_by_the_clocks_of_the_school_and_never_twice_at_once(chart):
    assert job_of(chart.render()) is None
    job = job_of(chart.render(*ON, 'insights.schoolTimeZone="Asia/Shanghai"'))
    assert (job["schedule"], job["timeZone"]) == ("17 6-9 * * 1", "Asia/Shanghai")
    assert job["concurrencyPolicy"] == "Forbid"
    assert container_of(job)["command"] == ["edugraph-digest"]
    other = job_of(chart.render(*ON, 'digest.timeZone="Europe/Paris"'))
    assert other["timeZone"] == "Europe/Paris"


def test_the_password_of_the_mail_server_is_in_its_pod_alone(chart, pods):
    """Out: give insights `EDUGRAPH_SMTP_URL`, too."""
    objects = chart.render(*ON, "digest.names=true")
    own = variables(container_of(job_of(objects)))
    assert own["EDUGRAPH_SMTP_URL"]["valueFrom"] == {
        "secretKeyRef": {"name": "mail", "key": "smtp-url"}
    }
    assert own["EDUGRAPH_DIGEST_NAMES"]["value"] == "true"
    assert own["EDUGRAPH_REDIS_URL"]["value"].startswith("redis://edugraph-insights:")
    holders = set()
    for name, spec in pods(objects).items():
        for container in spec["containers"]:
            if "EDUGRAPH_SMTP_URL" in variables(container):
                holders.add(name)
    assert holders == {"CronJob/edugraph-digest"}
    # The page offers what is sent.
    (insights,) = pods(objects)["Deployment/edugraph-insights"]["containers"]
    assert variables(insights)["EDUGRAPH_DIGEST_PAGE_URL"]["value"] == "https://a.example/ui/"
    assert variables(insights)["EDUGRAPH_SMTP_FROM"]["value"] == "no-reply@a.example"
    (without,) = pods(chart.render())["Deployment/edugraph-insights"]["containers"]
    assert "EDUGRAPH_DIGEST_PAGE_URL" not in variables(without)


def test_it_reaches_redis_the_graph_and_the_mail_server_alone(chart):
    network = Network(chart.render(*ON))
    digest = component("digest")
    assert network.connects(digest, component("redis"), 6379)
    assert network.connects(digest, component("neo4j"), 7687)
    assert not network.connects(digest, component("rabbitmq"), 5672)
    assert network.connects(digest, MAIL_SERVER, 587)
    assert not network.connects(component("insights"), MAIL_SERVER, 587)
    assert not Network(chart.render()).connects(digest, MAIL_SERVER, 587)


def test_the_addresses_of_chats_are_in_its_pod_alone(chart, pods):
    """Only with them may it reach the port of chats."""
    objects = chart.render(*ON, 'digest.chatsKey="chats"')
    holders = {}
    for name, spec in pods(objects).items():
        for container in spec["containers"]:
            found = variables(container).get("EDUGRAPH_DIGEST_CHATS")
            if found is not None:
                holders[name] = found["valueFrom"]
    assert holders == {
        "CronJob/edugraph-digest": {"secretKeyRef": {"name": "mail", "key": "chats"}}
    }
    digest = component("digest")
    assert Network(objects).connects(digest, MAIL_SERVER, 443)
    assert not Network(objects).connects(component("insights"), MAIL_SERVER, 443)
    assert not Network(chart.render(*ON)).connects(digest, MAIL_SERVER, 443)


@pytest.mark.parametrize("left_out", range(1, 4))
def test_it_needs_a_mail_server_an_address_of_the_page_and_a_sender(chart, left_out):
    given = [each for number, each in enumerate(ON) if number != left_out]
    assert "digest.enabled is true without" in chart.refusal(*given)


@pytest.mark.parametrize(
    "value",
    ['digest.pageUrl="http://a.example/ui/"', 'digest.from="Nobody"', 'digest.schedule=""'],
)
def test_what_cannot_work_is_refused(chart, value):
    assert chart.refusal(*ON, value)


def test_messages_to_chats_need_no_mail_server_and_no_sender(chart, pods):
    """Then nobody is offered a mail, and the port of mail servers is closed. Out: `digest.key` in the templates."""
    chats_alone = (*ON[:3], 'digest.key=""', 'digest.chatsKey="chats"')
    objects = chart.render(*chats_alone)
    own = variables(container_of(job_of(objects)))
    assert "EDUGRAPH_DIGEST_CHATS" in own
    assert not {"EDUGRAPH_SMTP_URL", "EDUGRAPH_SMTP_FROM"} & set(own)
    (insights,) = pods(objects)["Deployment/edugraph-insights"]["containers"]
    assert "EDUGRAPH_DIGEST_PAGE_URL" not in variables(insights)
    digest = component("digest")
    assert Network(objects).connects(digest, MAIL_SERVER, 443)
    assert not Network(objects).connects(digest, MAIL_SERVER, 587)
    assert "without digest.key and digest.chatsKey" in chart.refusal(*ON, 'digest.key=""')
