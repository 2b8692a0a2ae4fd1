"""A connector for the members of courses by LTI: Names and Role Provisioning Services 2.0.

A platform sends the present members of a course as a whole. A round submits the members who are new or have changed,
and withdraws those who are not in the list any more. https://www.imsglobal.org/spec/lti-nrps/v2p0
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from edugraph_cli.pulling.rest import RestApi, Row, access_token, rows_with
from edugraph_cli.pulling.rounds import CannotRead, Part, file_of, places_within, short_hash, unread
from edugraph_common.contracts.permissions import Role
from edugraph_common.runtime.service.lti_key import LtiKey
from edugraph_common.runtime.service.settings import PersonClaim
from edugraph_common.runtime.shared_state.lti import (
    ROLE_IN_COURSE,
    object_of,
    roles_of,
    text_of,
)
from edugraph_common.sources import Platforms

SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
MEDIA_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFETIME = timedelta(minutes=5)
_PRESENT = "Active"


@dataclass
class LtiMembers:
    """The lists of members of courses.

    - `platform` is the address by which EDUGRAPH_PLATFORM_PREFIXES knows the platform, and `person_claim` is that of
      EDUGRAPH_LTI_PLATFORMS, so that a launch and a membership have the same ids.
    - The cursor has members only as hashes with the `key`. With another key, all members are withdrawn and written
      again.
    - `left_out` counts members who cannot be read, by reason.
    """

    api: Callable[[str], RestApi]
    addresses: Sequence[str]
    key: LtiKey
    platforms: Platforms
    platform: str
    person_claim: PersonClaim
    now: datetime
    left_out: dict[str, int] = field(default_factory=dict)

    def parts(self, places: Mapping[str, str]) -> Iterator[Part]:
        """Yield the changes of each course in which something has changed."""
        for address in self.addresses:
            name = f"members of {address}"
            try:
                part = self._part(name, address, places)
            except CannotRead as problem:
                part = unread(name, problem)
            if part is not None:
                yield part

    def _part(self, name: str, address: str, places: Mapping[str, str]) -> Part | None:
        """Return the changes of a course, or None without a change. Raises CannotRead."""
        records = self._records(address)
        place = short_hash(address, self.person_claim)
        known = places_within(places, place)
        present: dict[str, str] = {}
        lines: list[str] = []
        for member, record in records.items():
            key = f"{place}:{self.key.keyed_hash(member)}"
            present[key] = self.key.keyed_hash(json.dumps(record, sort_keys=True))
            if known.get(key) != present[key]:
                lines.append(self._line(key, {"data": record}))
        if known and not present:
            # A tool that has lost its rights may be sent nobody.
            raise CannotRead(
                "The list has no students and no teachers any more; nobody is withdrawn."
            )
        for key in sorted(set(known) - set(present)):
            lines.append(self._line(key, {"withdrawn": True}))
        if not lines:
            return None
        version = short_hash(*sorted(f"{key} {value}" for key, value in present.items()))
        return Part(place, version, name, partial(file_of, lines), "ndjson", present)

    def _line(self, key: str, content: Mapping[str, Any]) -> str:
        """Return a row. It counts as changed now, since the list does not say when a member came or went."""
        head = {
            "type": "membership_record",
            "record_id": f"lti-{key}",
            "timestamp": self.now.isoformat(),
        }
        return json.dumps({**head, **content}, ensure_ascii=False) + "\n"

    def _records(self, address: str) -> dict[str, Row]:
        """Return the data of the memberships by user and role. Raises CannotRead."""
        found: dict[str, Row] = {}
        for page in self.api(address).pages("", {}):
            listed = object_of(page)
            context = object_of(listed.get("context"))
            course = text_of(context.get("id"))
            if not course:
                raise CannotRead(f"{address} does not say which course it is; its API has changed.")
            group = {"group_id": self._id_of(course), "course_id": self._id_of(course)}
            title = text_of(context.get("title"))
            if title:
                group["group_name"] = title
            for member in rows_with(listed.get("members"), ("user_id", "roles"), "members"):
                for role, person in self._persons(member):
                    found[f"{member['user_id']} {role}"] = {**group, **person}
        return found

    def _persons(self, member: Row) -> Iterator[tuple[Role, Row]]:
        """Yield the person of a member for each role: a student is a member, and a teacher leads."""
        if member.get("status", _PRESENT) != _PRESENT:
            self._leave_out("not active")
            return
        own_name = text_of(member["user_id"])
        if self.person_claim == "person_sourcedid":
            own_name = text_of(member.get("lis_person_sourcedid"))
        if not own_name:
            self._leave_out(f"without {self.person_claim}")
            return
        roles = roles_of(_full_names(member["roles"]))
        kinds = [role for role in roles if role in ("student", "teacher")]
        if not kinds:
            self._leave_out("another role")
        for role in kinds:
            person = {f"{role}_id": self._id_of(own_name)}
            name = text_of(member.get("name"))
            if name:
                person[f"{role}_name"] = name
            yield role, person

    def _id_of(self, name: str) -> str:
        return self.platforms.account_id(self.platform, name)

    def _leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def _full_names(roles: object) -> list[str]:
    """Return roles as launches have them. A name alone, such as Learner, is a role in the course."""
    found: list[str] = []
    if isinstance(roles, list):
        for role in roles:
            name = text_of(role)
            found.append(name if ":" in name else f"{ROLE_IN_COURSE}#{name}")
    return found


def token_of_tool(token_url: str, client_id: str, key: LtiKey, now: datetime) -> SecretStr:
    """Return an access token of a tool, which proves with its key who it is. Raises CannotRead."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "iat": int(now.timestamp()),
        "exp": int((now + _ASSERTION_LIFETIME).timestamp()),
        "jti": uuid4().hex,
    }
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": key.sign(claims),
        "scope": SCOPE,
    }
    return access_token(token_url, form)
