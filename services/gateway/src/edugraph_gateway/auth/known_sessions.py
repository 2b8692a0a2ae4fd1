"""The sessions that the gateway knows: of people who signed in at the issuer, or came from a learning platform."""

import redis

from edugraph_common.runtime.shared_state.lti import LaunchReader, platforms_of
from edugraph_common.runtime.shared_state.oidc import Issuer
from edugraph_common.runtime.shared_state.sessions import Sessions
from edugraph_common.sources.platforms import Platforms
from edugraph_gateway.settings import GatewaySettings


def known_sessions(
    client: "redis.Redis", issuer: Issuer | None, platforms: Platforms, settings: GatewaySettings
) -> Sessions | None:
    """Return None if the settings name neither an issuer nor a learning platform."""
    if issuer is None and not settings.lti_platforms:
        return None
    launches = LaunchReader(platforms_of(settings.lti_platforms, platforms.account_id))
    return Sessions(client, issuer, launches)
