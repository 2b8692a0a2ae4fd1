"""LTI 1.3: what a learning platform says about a person whom it sends to the page.

The platform signs an ID token, the launch. Signature, issuer, audience, time, deployment and type are checked here,
offline, with the platform's keys. A session keeps the launch, and both doors read the rights of the session from it,
as they do from an access token of the issuer (docs/adr/0134).
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import redis
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from edugraph_common.contracts.permissions import ROLES, Role, Scope
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.service.settings import LtiPlatform
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.signing_keys import (
    LEEWAY_SECONDS,
    SigningKeys,
    fetched_json,
    key_id_of,
    signed_claims,
)

ALGORITHMS = ("RS256", "ES256")
# A launch is refused so long after the platform signed it. Its nonce is remembered for longer than this.
LAUNCH_LIFETIME = timedelta(minutes=10)
_NONCE_LIFETIME = LAUNCH_LIFETIME + timedelta(seconds=2 * LEEWAY_SECONDS)
# The rights of a launch cannot be renewed, so a session ends at the latest so long after it.
SESSION_LIFETIME = timedelta(hours=2)
MAX_TEXT_LENGTH = 255
MessageType = Literal["LtiResourceLinkRequest", "LtiDeepLinkingRequest"]
MESSAGE_TYPES: tuple[MessageType, ...] = ("LtiResourceLinkRequest", "LtiDeepLinkingRequest")

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/"
ROLE_IN_COURSE = f"{_ROLE}membership"
_ROLES_IN_COURSE: Mapping[str, Role] = {
    f"{ROLE_IN_COURSE}#Instructor": "teacher",
    f"{ROLE_IN_COURSE}#Learner": "student",
}
# Open edX with lti-consumer-xblock 9 sends no role in the course.
_ROLES_AT_SCHOOL: Mapping[str, Role] = {
    f"{_ROLE}institution/person#Instructor": "teacher",
    f"{_ROLE}institution/person#Student": "student",
    f"{_ROLE}institution/person#Learner": "student",
}
# A teacher writes actions about students, and follows them. The gateway takes nobody without any scope.
_SCOPES_OF_TEACHERS: tuple[Scope, ...] = ("read:own",)
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS))
Check = Literal["token", "time", "deployment", "version", "type", "person"]


class LaunchRefused(Exception):
    """A launch is not valid here. `check` names the check that failed, and nothing of the launch."""

    def __init__(self, check: Check) -> None:
        super().__init__(check)
        self.check = check


class Launch(NamedTuple):
    """A valid launch. `course` has the id of the course's records, and is empty if the launch names no course."""

    platform: str
    caller: Caller
    nonce: str
    name: str
    message_type: MessageType
    course: str
    claims: Mapping[str, Any]

    def claim(self, name: str) -> Any:
        """Return the claim of LTI with this name, or None."""
        return self.claims.get(CLAIM + name)


class Platform:
    """One learning platform of the setting, by its name there.

    Args:
        account_id: Returns the id here for the address of a platform and an id there.
        fetch: Returns the JSON at an address; it raises httpx.HTTPError or ValueError.

    """

    def __init__(
        self,
        name: str,
        described: LtiPlatform,
        account_id: Callable[[str, str], str],
        *,
        fetch: Callable[[str], Any] = fetched_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.described = described
        self._account_id = account_id

        def load() -> KeySet:
            return KeySet.import_key_set(fetch(described.keys_url))

        self._keys = SigningKeys(load, f"the learning platform {name}", clock)

    def launch(self, token: str, now: datetime) -> Launch:
        """Return the launch in a token. Raises LaunchRefused, and Retryable if keys are missing."""
        claims = self._claims(token, now)
        signed_at = _moment(claims.get("iat"))
        if signed_at is None or now.timestamp() > signed_at + LAUNCH_LIFETIME.total_seconds():
            raise LaunchRefused("time")
        return self._launch(claims)

    def caller_of_session(self, token: str, now: datetime) -> Caller | None:
        """Return whose launch a session keeps, or None if the launch is not valid or too old for a session.

        The end of the token itself does not count: it limits the launch. Raises Retryable if keys are missing.
        """
        try:
            claims = self._claims(token, now, with_end=False)
            signed_at = _moment(claims.get("iat"))
            if signed_at is None or now.timestamp() >= signed_at + SESSION_LIFETIME.total_seconds():
                return None
            return self._launch(claims).caller
        except LaunchRefused:
            return None

    def _claims(self, token: str, now: datetime, *, with_end: bool = True) -> dict[str, Any]:
        """Return the claims that the platform signed for us. Raises LaunchRefused and Retryable."""
        key_id = key_id_of(token, ALGORITHMS)
        if not key_id:
            raise LaunchRefused("token")
        self._keys.need(key_id)
        key_set = self._keys.known(key_id)
        if key_set is None:
            raise LaunchRefused("token")
        client_id = self.described.client_id
        try:
            claims = signed_claims(
                token,
                key_set,
                _REGISTRY,
                issuer=self.described.issuer,
                audience=client_id,
                now=now,
                with_end=with_end,
            )
        except (JoseError, ValueError) as error:
            raise LaunchRefused("token") from error
        # A token for several audiences says which of them asked for it.
        has_others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (has_others or "azp" in claims) and claims.get("azp") != client_id:
            raise LaunchRefused("token")
        return claims

    def _launch(self, claims: Mapping[str, Any]) -> Launch:
        message_type = claims.get(f"{CLAIM}message_type")
        if claims.get(f"{CLAIM}deployment_id") not in self.described.deployment_ids:
            raise LaunchRefused("deployment")
        if claims.get(f"{CLAIM}version") != "1.3.0":
            raise LaunchRefused("version")
        if message_type not in MESSAGE_TYPES:
            raise LaunchRefused("type")
        subject = text_of(claims.get("sub"))
        own_name = subject
        if self.described.person_claim == "person_sourcedid":
            own_name = text_of(object_of(claims.get(f"{CLAIM}lis")).get("person_sourcedid"))
        if not subject or not own_name:
            raise LaunchRefused("person")
        course = text_of(object_of(claims.get(f"{CLAIM}context")).get("id"))
        if course:
            course = self._account_id(self.described.account_home, course)
        roles = roles_of(claims.get(f"{CLAIM}roles"))
        scopes: tuple[Scope, ...] = ()
        if "teacher" in roles:
            scopes = _SCOPES_OF_TEACHERS
        return Launch(
            platform=self.name,
            caller=Caller(
                f"lti:{self.name}:{subject}",
                scopes=scopes,
                roles=roles,
                person=self._account_id(self.described.account_home, own_name),
                address=text_of(claims.get("email")) or None,
            ),
            nonce=text_of(claims.get("nonce")),
            name=text_of(claims.get("name")),
            message_type=message_type,
            course=course,
            claims=claims,
        )


class LaunchReader:
    """Reads the launches that sessions keep. `platforms`: name -> platform."""

    def __init__(self, platforms: Mapping[str, Platform]) -> None:
        self._platforms = platforms

    def caller(self, platform: str, token: str, now: datetime) -> Caller | None:
        """Return whose launch it is, or None if the platform or the launch is not valid any more."""
        if platform not in self._platforms:
            return None
        return self._platforms[platform].caller_of_session(token, now)


class UsedNonces:
    """The nonces of launches. Each is good once. Raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def use(self, platform: str, nonce: str) -> bool:
        """Return whether the nonce was not used before."""
        digest = hashlib.sha256(f"{platform}:{nonce}".encode()).hexdigest()
        with redis_errors():
            return bool(
                self._redis.set(f"edugraph:lti-nonce:{digest}", "1", px=_NONCE_LIFETIME, nx=True)
            )


def platforms_of(
    described: Mapping[str, LtiPlatform], account_id: Callable[[str, str], str]
) -> dict[str, Platform]:
    """Return the platforms of the setting EDUGRAPH_LTI_PLATFORMS, by their names."""
    return {name: Platform(name, each, account_id) for name, each in described.items()}


def text_of(value: object) -> str:
    """Return a printable text of at most 255 characters, or an empty one in place of any other value."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT_LENGTH:
        return ""
    return value


def object_of(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one in place of any other value."""
    if not isinstance(value, dict):
        return {}
    return value


def roles_of(claim: object) -> tuple[Role, ...]:
    """Return our roles for those of a launch or of a member. Any other role counts nothing.

    The role in the course counts. A role at the school counts only if nothing is said about the course.
    """
    if not isinstance(claim, list):
        return ()
    given = [each for each in claim if isinstance(each, str)]
    meanings = _ROLES_AT_SCHOOL
    if any(each.startswith(ROLE_IN_COURSE) for each in given):
        meanings = _ROLES_IN_COURSE
    found = {meanings.get(each) for each in given}
    return tuple(role for role in ROLES if role in found)


def _moment(value: object) -> float | None:
    """Return a time in seconds since 1970, or None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
