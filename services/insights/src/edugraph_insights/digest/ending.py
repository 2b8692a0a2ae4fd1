"""The link that ends a digest without signing in. Its token is signed, and names nothing but the subscription."""

import hmac
import re

from edugraph_insights.settings import InsightsSettings

END = "/ui/digest/end"
_TOKEN = re.compile(r"([0-9a-f]{32})([0-9a-f]{64})")


def end_link(settings: InsightsSettings, digest_id: str) -> str:
    """Return the address that ends a digest."""
    home = (settings.digest_page_url or "").removesuffix("/ui/")
    return f"{home}{END}?token={digest_id}{_signature(settings, digest_id)}"


def digest_to_end(settings: InsightsSettings, token: str) -> str | None:
    """Return the id of the digest that a token ends, or None if the token is not one of ours."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    digest_id, signature = found.groups()
    if not hmac.compare_digest(signature, _signature(settings, digest_id)):
        return None
    return digest_id


def _signature(settings: InsightsSettings, digest_id: str) -> str:
    secret = settings.privacy_secret
    if secret is None:
        raise ValueError("EDUGRAPH_DIGEST_PAGE_URL needs EDUGRAPH_PRIVACY_SECRET")
    signed = f"edugraph digest end {digest_id}".encode()
    return hmac.digest(secret.get_secret_value().encode(), signed, "sha256").hex()
