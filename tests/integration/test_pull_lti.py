"""`edugraph pull lti`, against a server that answers as a platform with Names and Role Provisioning Services does."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet
from platforms_pulled import TOKEN, Platform, running
from pydantic import SecretStr
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_cli.pulling.lti import MEDIA_TYPE, LtiMembers, token_of_tool
from edugraph_cli.pulling.rest import RestApi
from edugraph_cli.pulling.rounds import CannotRead
from edugraph_common.contracts.records import parse_row
from edugraph_common.runtime.service.lti_key import LtiKey
from edugraph_common.sources import Platforms

pytestmark = pytest.mark.loopback("the platform is a server of the test")
LIST = "/course/7/members"
NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
CLIENT = "edugraph-client"
LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
INSTRUCTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"
MENTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"
Row = dict[str, Any]


def new_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


PEM = new_pem()
KEY = LtiKey(PEM)


@pytest.fixture
def rows() -> list[Row]:
    return []


@pytest.fixture
def platform(rows: list[Row]) -> Iterator[Platform]:
    with running(
        Platform({LIST: lambda _: rows}, members_of={"id": "7", "title": "Algebra"})
    ) as own:
        yield own


def member(user_id: str, *roles: str, **more: Any) -> Row:
    return {"user_id": user_id, "roles": list(roles or (LEARNER,)), "status": "Active", **more}


def lists_of(platform: Platform, now: datetime = NOW, **more: Any) -> LtiMembers:
    def api(address: str) -> RestApi:
        return RestApi(address, SecretStr(TOKEN), accept=MEDIA_TYPE)

    prefixes = Platforms.of_addresses({"https://lms.school.example": "lms-"})
    options = {"platform": "https://lms.school.example", "person_claim": "sub", **more}
    return LtiMembers(api, [f"{platform.url}{LIST}"], KEY, prefixes, now=now, **options)


def round_of(
    platform: Platform, places: Mapping[str, str], now: datetime = NOW
) -> tuple[list[Row], dict[str, str]]:
    """Return the rows of a round, and the places that the cursor has after it."""
    after = dict(places)
    found = []
    for part in lists_of(platform, now).parts(places):
        with part.open() as path:
            found += [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        after = {place: version for place, version in after.items() if ":" not in place}
        after |= part.inner
        after[part.place] = part.version
    return found, after


def test_members_become_memberships_with_the_ids_of_a_launch(
    platform: Platform, rows: list[Row]
) -> None:
    """Teachers lead, students are members, and others are counted. Out: `account_id` in `_id_of`; `roles_of`."""
    rows += [
        member("ann", name="Ann Lee"),
        member("bo", "Learner", name="a\nline"),
        member("cy", INSTRUCTOR, LEARNER),
        member("di", MENTOR),
        member("ed", status="Inactive"),
        member("", LEARNER),
    ]
    lists = lists_of(platform)
    [part] = lists.parts({})
    with part.open() as path:
        found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    group = {"group_id": "lms-7", "course_id": "lms-7", "group_name": "Algebra"}
    assert [row["data"] for row in found] == [
        {**group, "student_id": "lms-ann", "student_name": "Ann Lee"},
        {**group, "student_id": "lms-bo"},
        {**group, "teacher_id": "lms-cy"},
        {**group, "student_id": "lms-cy"},
    ]
    for row in found:
        parse_row(row)
    assert lists.left_out == {"another role": 1, "not active": 1, "without sub": 1}
    # The list has pages, and each is asked for with the media type of the service.
    assert platform.paths() == [LIST] * 3


def test_a_person_has_the_id_that_the_platform_is_set_to(
    platform: Platform, rows: list[Row]
) -> None:
    rows += [member("ann", lis_person_sourcedid="S17"), member("bo")]
    lists = lists_of(platform, person_claim="person_sourcedid")
    [part] = lists.parts({})
    with part.open() as path:
        [row] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert row["data"]["student_id"] == "lms-S17"
    assert lists.left_out == {"without person_sourcedid": 1}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    states=st.lists(
        st.dictionaries(
            st.sampled_from("abcdef"),
            st.sampled_from([LEARNER, INSTRUCTOR]),
            min_size=1,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_rounds_send_what_has_changed_and_end_at_the_present_list(
    platform: Platform, rows: list[Row], states: list[dict[str, str]]
) -> None:
    """Out: `known.get(key) != present[key]`; the rows of `set(known) - set(present)`."""
    places: dict[str, str] = {}
    there: dict[str, Row] = {}
    before: set[tuple[str, str]] = set()
    for number, state in enumerate(states):
        rows[:] = [member(name, role) for name, role in state.items()]
        sent, places = round_of(platform, places, NOW + timedelta(hours=number))
        present = set(state.items())
        assert len(sent) == len(present ^ before)
        before = present
        for row in sent:
            if row.get("withdrawn"):
                del there[row["record_id"]]
            else:
                there[row["record_id"]] = row["data"]
        expected = set()
        for name, role in state.items():
            kind = "student_id" if role == LEARNER else "teacher_id"
            expected.add((kind, f"lms-{name}"))
        found = set()
        for data in there.values():
            [kind] = {"student_id", "teacher_id"} & set(data)
            found.add((kind, data[kind]))
        assert found == expected
    again, _ = round_of(platform, places)
    assert again == []


def test_another_key_withdraws_and_writes_all_members(platform: Platform, rows: list[Row]) -> None:
    """So a cursor and the ids of records tell nobody without the key who is a member. Out: `keyed_hash`."""
    rows.append(member("ann"))
    [first], places = round_of(platform, {})
    lists = lists_of(platform)
    lists.key = LtiKey(new_pem())
    [part] = lists.parts(places)
    with part.open() as path:
        written, withdrawn = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert written["record_id"] != first["record_id"]
    assert written["data"] == first["data"]
    assert (withdrawn["record_id"], withdrawn["withdrawn"]) == (first["record_id"], True)


def test_an_empty_list_withdraws_nobody(platform: Platform, rows: list[Row]) -> None:
    """Out: `known and not present`."""
    rows.append(member("ann"))
    _, places = round_of(platform, {})
    rows.clear()
    with pytest.raises(CannotRead, match="nobody is withdrawn"):
        round_of(platform, places)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"context": {"id": "7"}}', "does not answer with a list of members"),
        ('{"members": []}', "does not say which course"),
        ("[]", "does not say which course"),
        ('{"context": {"id": "7"}, "members": [{"user_id": "a"}]}', "without roles"),
        ("<html>", "did not answer with JSON"),
    ],
)
def test_an_answer_that_is_no_list_of_members_is_one_sentence(
    platform: Platform, answer: str, words: str
) -> None:
    platform.faults.append((200, {}, answer))
    with pytest.raises(CannotRead, match=words):
        round_of(platform, {})


def test_the_tool_proves_with_its_key_who_it_is(platform: Platform) -> None:
    """The platform gets an assertion for this address that ends within minutes. Out: `sign`, `aud` or `exp`."""
    token_url = f"{platform.url}/token"
    assert token_of_tool(token_url, CLIENT, KEY, NOW).get_secret_value() == TOKEN
    [(path, form)] = platform.asked
    assert (path, form["grant_type"]) == ("/token", ["client_credentials"])
    assert form["scope"] == [
        "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
    ]
    claims = jwt.decode(form["client_assertion"][0], KeySet.import_key_set(KEY.public())).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT, CLIENT, token_url)
    assert 0 < claims["exp"] - NOW.timestamp() <= 600
    assert len(claims["jti"]) >= 20


def test_a_wrong_key_and_a_refused_tool_are_one_sentence(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [
        "pull", "lti", "roster", "--members", f"{platform.url}{LIST}", "--platform", "https://lms.school.example",
        "--client-id", CLIENT, "--token-url", f"{platform.url}{LIST}x",
    ]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "EDUGRAPH_LTI_KEY must be the PEM of a private RSA key" in done.output
    path = tmp_path / "key.pem"
    path.write_text(PEM)
    monkeypatch.setenv("EDUGRAPH_LTI_KEY_FILE", str(path))
    monkeypatch.setattr("edugraph_cli.commands.pull.token_of_tool", _refused)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "gives no token" in done.output
    assert "PRIVATE KEY" not in done.output


def _refused(token_url: str, *_: Any) -> SecretStr:
    raise CannotRead(f"{token_url} gives no token: it answers 400.")
