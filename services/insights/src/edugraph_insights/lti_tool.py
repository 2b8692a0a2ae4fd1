"""The page as a tool of learning platforms by LTI 1.3: the way of a launch from the platform to a session.

The platform sends the browser here, and the browser goes back to the platform with a state and a nonce. Then the
platform sends the browser here once more, with a launch that it signed and that has the nonce. Meanwhile a cookie in
the browser holds the attempt, so the server keeps nothing for strangers, and a launch that another browser began is
useless in this one.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from urllib.parse import urlencode

import structlog

from edugraph_common.runtime.shared_state.lti import (
    SESSION_LIFETIME,
    Launch,
    LaunchRefused,
    Platform,
    UsedNonces,
    object_of,
    text_of,
)
from edugraph_common.runtime.shared_state.sessions import Session
from edugraph_insights.settings import InsightsSettings

# A platform puts these into the first request. They are opaque here and go back to the platform.
HINTS = ("login_hint", "lti_message_hint")
MAX_HINT_LENGTH = 8_192
_RANDOM_BYTES = 32
_RANDOM = re.compile(r"[A-Za-z0-9_-]{20,100}")
# A link in a course may have these custom parameters, which choose the view to open. They give no right.
_VIEW = ("course", "group", "point")
Why = Literal["lti_platform", "lti_cookie", "lti_token", "lti_role", "lti_link"]
log = structlog.get_logger()


class NotLaunched(Exception):
    """A launch begins no session.

    `lti_platform`: the platform is not set up. `lti_cookie`: the attempt took too long, was used before, or began in
    another browser, or the browser keeps no cookies in a frame. `lti_token`: the launch is not valid. `lti_role`: the
    launch is valid, and its roles open nothing. `lti_link`: the platform asks for a link, and this installation makes
    none, or the platform does not take it.
    """

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class LaunchAttempt(NamedTuple):
    """A launch that has begun. The cookie has `state` in its name, so that a page may have several frames."""

    state: str
    nonce: str
    platform: str

    def cookie(self) -> str:
        return f"{self.nonce}.{self.platform}"

    @classmethod
    def of_cookie(cls, state: str, text: str) -> "LaunchAttempt | None":
        """Return the attempt in a cookie, or None if the cookie does not hold one."""
        nonce, _, platform = text.partition(".")
        if not _RANDOM.fullmatch(state) or not _RANDOM.fullmatch(nonce):
            return None
        return cls(state, nonce, platform)


class LtiTool:
    """The tool that the platforms of the settings know."""

    def __init__(
        self,
        settings: InsightsSettings,
        platforms: Mapping[str, Platform],
        used_nonces: UsedNonces,
        *,
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._platforms = platforms
        self._used_nonces = used_nonces
        self._random = random
        self.launch_url = settings.lti_launch_url or ""
        self._lifetime = min(timedelta(minutes=settings.session_minutes), SESSION_LIFETIME)

    def begin(self, given: Mapping[str, str]) -> tuple[str, LaunchAttempt]:
        """Return the address of the platform to go to, and the attempt to keep meanwhile. Raises NotLaunched."""
        platform = self._platform_of(given.get("iss", ""), given.get("client_id", ""))
        hints = {name: given[name] for name in HINTS if given.get(name)}
        if "login_hint" not in hints or any(len(hint) > MAX_HINT_LENGTH for hint in hints.values()):
            raise NotLaunched("lti_platform")
        attempt = LaunchAttempt(
            state=self._random(_RANDOM_BYTES),
            nonce=self._random(_RANDOM_BYTES),
            platform=platform.name,
        )
        query = {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": platform.described.client_id,
            "redirect_uri": self.launch_url,
            "state": attempt.state,
            "nonce": attempt.nonce,
            **hints,
        }
        address = platform.described.login_url
        mark = "&" if "?" in address else "?"
        return f"{address}{mark}{urlencode(query)}", attempt

    def finish(self, attempt: LaunchAttempt | None, token: str, now: datetime) -> Launch:
        """Return the launch of a person with a role, whom a platform sent. Raises NotLaunched and Retryable."""
        if attempt is None or attempt.platform not in self._platforms:
            raise NotLaunched("lti_cookie")
        platform = self._platforms[attempt.platform]
        launch = self._valid_launch(platform, token, now)
        is_same_attempt = secrets.compare_digest(launch.nonce.encode(), attempt.nonce.encode())
        if not is_same_attempt or not self._used_nonces.use(platform.name, launch.nonce):
            raise NotLaunched("lti_cookie")
        if not launch.caller.roles:
            log.info("lti_launch_without_role", platform=platform.name)
            raise NotLaunched("lti_role")
        return launch

    def session_of(self, launch: Launch, token: str, now: datetime) -> Session:
        """Return the session that begins with a launch, which is in this token."""
        return Session(
            client_id=launch.caller.client_id,
            name=launch.name,
            ends=now + self._lifetime,
            renewed=now,
            access_token=token,
            platform=launch.platform,
        )

    def _valid_launch(self, platform: Platform, token: str, now: datetime) -> Launch:
        try:
            return platform.launch(token, now)
        except LaunchRefused as refused:
            log.warning("lti_launch_refused", platform=platform.name, check=refused.check)
            raise NotLaunched("lti_token") from refused

    def _platform_of(self, issuer: str, client_id: str) -> Platform:
        """Return the platform that began a launch. A platform with one client here need not name it."""
        found = []
        for platform in self._platforms.values():
            is_client = not client_id or platform.described.client_id == client_id
            if platform.described.issuer == issuer and is_client:
                found.append(platform)
        if len(found) != 1:
            raise NotLaunched("lti_platform")
        return found[0]


def view_of(launch: Launch) -> str:
    """Return the part of the page's address behind the #, made of ids alone.

    `target_link_uri` is not read, so no launch leads to another place than the page.
    """
    wanted = {"course": launch.course}
    custom = object_of(launch.claim("custom"))
    for name in _VIEW:
        given = text_of(custom.get(name))
        if given:
            wanted[name] = given
    page = "point" if wanted.get("point") else "start"
    query = urlencode({name: value for name, value in wanted.items() if value})
    return f"{page}?{query}" if query else page
