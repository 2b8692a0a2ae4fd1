"""Two platforms' accounts of one name are two people, unless the operator says that the platforms are one."""

import io
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.platform_addresses import platform_key
from edugraph_common.contracts.records import Record
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.sources import Platforms, ReadPlan, open_text

HOSTS = [
    "lms.school.example",
    "LMS.School.example",
    "mooc.example",
    "mooc.example:8443",
    "other.example/moodle",
]
address = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(HOSTS),
    st.sampled_from(["", "/"]),
)
name = (
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
)
prefix = st.sampled_from(["", "mooc:", "moodle:", "a-"])
prefixes = st.dictionaries(address.map(platform_key), prefix)


@given(prefixes, address, address, name)
def test_one_name_on_two_platforms_is_one_person_only_if_the_setting_says_so(
    known: dict[str, str], one: str, other: str, called: str
) -> None:
    """To take the guard out: let `account_id` return the name alone where the platform is not known."""
    ids = Platforms(known)
    same = ids.account_id(one, called) == ids.account_id(other, called)
    prefix_of = [known.get(platform_key(each)) for each in (one, other)]
    if None in prefix_of:
        assert same == (one == other)
    else:
        assert same == (prefix_of[0] == prefix_of[1])


@given(prefixes, address, address, name)
def test_one_course_on_two_platforms_is_one_course_only_if_the_setting_says_so(
    known: dict[str, str], one: str, other: str, called: str
) -> None:
    assume("/" not in called)
    ids = Platforms(known)
    pages = [f"{each.rstrip('/')}/courses/{called}" for each in (one, other)]
    same = ids.course_id(pages[0]) == ids.course_id(pages[1])
    prefix_of = [known.get(platform_key(each)) for each in (one, other)]
    if None in prefix_of:
        assert same == (pages[0] == pages[1])
    else:
        assert same == (prefix_of[0] == prefix_of[1])


@given(prefixes, address, name)
def test_the_names_of_an_account_are_found_again_by_its_id(
    known: dict[str, str], platform: str, called: str
) -> None:
    assume("|" not in called)
    ids = Platforms(known)
    assert called in ids.names_of(ids.account_id(platform, called))


def statement(home_page: str) -> bytes:
    course = {"id": f"{home_page}/courses/C1", "definition": {"type": "http://x/course"}}
    return json.dumps(
        {
            "id": "s1",
            "actor": {"account": {"homePage": home_page, "name": "4711"}},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
            "object": course,
            "timestamp": "2026-03-04T05:06:07Z",
        }
    ).encode()


def event() -> bytes:
    context = {"user_id": 4711, "course_id": "C1", "host": ""}
    name = "edx.course.enrollment.activated"
    return json.dumps(
        {"name": name, "time": "2026-03-04T05:06:07Z", "context": context, "event": {}}
    ).encode()


def ids_of(raw: bytes, plan: ReadPlan) -> tuple[str, str]:
    record = plan.source.read(1, raw)
    assert isinstance(record, Record)
    data: Any = record.data
    assert plan.source.people(raw).ids == {data.student_id}
    return data.student_id, data.course_id


SCHOOL = "https://lms.school.example"
SETTING = {"lms.school.example": "", "mooc.example": "mooc:"}


@pytest.mark.parametrize(
    ("file_format", "raw", "log", "expected"),
    [
        ("xapi", statement(SCHOOL), None, ("4711", "C1")),
        ("openedx", event(), None, ("4711", "C1")),
        ("openedx", event(), SCHOOL, ("4711", "C1")),
        ("xapi", statement("http://mooc.example"), None, ("mooc:4711", "mooc:C1")),
        ("openedx", event(), "https://MOOC.example/", ("mooc:4711", "mooc:C1")),
        (
            "xapi",
            statement("https://x.example"),
            None,
            ("https://x.example|4711", "https://x.example/courses/C1"),
        ),
        (
            "openedx",
            event(),
            "https://x.example",
            ("https://x.example|4711", "https://x.example|C1"),
        ),
    ],
)
def test_statements_and_logs_of_the_school_meet_and_those_of_others_do_not(
    file_format: Format, raw: bytes, log: str | None, expected: tuple[str, str]
) -> None:
    plan, _ = open_text(io.BytesIO(raw), file_format, None, None, Platforms(SETTING, log))
    stored = ReadPlan.model_validate_json(plan.model_dump_json(exclude_defaults=True))
    assert ids_of(raw, stored) == expected


def test_a_prefix_ends_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BROKER_URL", "REDIS_URL", "BLOB_URL"):
        monkeypatch.setenv(f"EDUGRAPH_{variable}", "x")
    monkeypatch.setenv(
        "EDUGRAPH_PLATFORM_PREFIXES", json.dumps({SCHOOL: "", "https://mooc.example": "mooc:"})
    )
    assert Settings().platform_prefixes == {SCHOOL: "", "https://mooc.example": "mooc:"}
    monkeypatch.setenv("EDUGRAPH_PLATFORM_PREFIXES", json.dumps({"https://mooc.example": "m"}))
    with pytest.raises(ValidationError, match="must end in a sign"):
        Settings()
