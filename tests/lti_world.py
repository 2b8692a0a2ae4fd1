"""Insights that know two learning platforms, for tests of LTI. Nothing of it asks a server."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from fastapi.testclient import TestClient
from made_issuer import SessionRedis
from made_platform import MadePlatform, sent_along

from edugraph_common.runtime.shared_state.lti import LaunchReader, Platform, UsedNonces
from edugraph_common.runtime.shared_state.sessions import COOKIE, Sessions
from edugraph_common.sources.platforms import Platforms
from edugraph_insights.app import make_application
from edugraph_insights.insights import open_insights
from edugraph_insights.lti_tool import LtiTool
from edugraph_insights.settings import InsightsSettings

HOME = "https://school.example"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SERVERS = {"redis_url": "redis://127.0.0.1:1", "neo4j_uri": "bolt://127.0.0.1:1"}
MOODLE = MadePlatform("https://moodle.example", "client-1")
CANVAS = MadePlatform("https://canvas.example", "client-2", deployment="d:2")
PREFIXES = {"https://moodle.example": "", "https://canvas.example": "canvas:"}
PLATFORMS = {"moodle": MOODLE.described(), "canvas": CANVAS.described()}
LTI = {
    "lti_launch_url": f"{HOME}/ui/lti/launch",
    "platform_prefixes": PREFIXES,
    "lti_platforms": PLATFORMS,
}


@dataclass
class World:
    """Insights that know two platforms. Nothing of it asks a server."""

    now: datetime = NOW
    clock: float = 0.0
    redis: SessionRedis = field(default_factory=SessionRedis)
    noted: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    fetch: Callable[[str], Any] | None = None

    def record(self, *entry: Any, **_more: Any) -> None:
        self.noted.append(entry[:2])

    def browser(self) -> TestClient:
        settings = InsightsSettings(**{**SERVERS, **LTI, **self.settings})
        account_id = Platforms.of_addresses(settings.platform_prefixes).account_id
        made = {"moodle": MOODLE, "canvas": CANVAS}
        platforms = {}
        for name, described in settings.lti_platforms.items():
            platforms[name] = Platform(
                name,
                described,
                account_id,
                fetch=self.fetch or made[name].fetch,
                clock=lambda: self.clock,
            )
        redis: Any = self.redis
        audit: Any = self
        insights = replace(
            open_insights(settings, now=lambda: self.now),
            sessions=Sessions(redis, None, LaunchReader(platforms)),
            lti=LtiTool(settings, platforms, UsedNonces(redis)),
            audit=audit,
            rate_limiter=None,
        )
        return TestClient(make_application(insights), base_url=HOME, follow_redirects=False)

    def begin(
        self, browser: TestClient, platform: MadePlatform = MOODLE, **changed: str
    ) -> dict[str, str]:
        """Begin a launch. Return what the platform is sent."""
        answer = browser.post("/ui/lti/login", data=platform.login(**changed))
        address = answer.headers["location"]
        assert address.startswith(f"{platform.issuer}/auth?")
        return sent_along(address)

    def launch(self, browser: TestClient, platform: MadePlatform = MOODLE, **changed: Any) -> str:
        """Launch with changed claims. Return where the browser is led to."""
        sent = self.begin(browser, platform)
        claims = platform.claims(sent["nonce"], self.now, **changed)
        return self.post(browser, sent["state"], platform.sign(claims))

    def post(self, browser: TestClient, state: str, token: str) -> str:
        answer = browser.post("/ui/lti/launch", data={"state": state, "id_token": token})
        assert answer.status_code == 303
        return str(answer.headers["location"])


def failed(why: str) -> str:
    return f"/ui/#overview?login={why}"


def is_out(world: World, browser: TestClient) -> bool:
    return COOKIE not in browser.cookies and world.redis.hashes.get("edugraph:sessions", {}) == {}
