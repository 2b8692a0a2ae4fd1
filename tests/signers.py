"""How tools sign the webhooks that they send to a source, computed here and not by the code under test."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Any


def new_secret() -> str:
    """Return a secret of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def standard_sender(*of: str) -> dict[str, Any]:
    return {"scheme": "standard", "secrets": list(of)}


def hmac_sender(secret: str, header: str, encoding: str, prefix: str = "") -> dict[str, Any]:
    more = {"header": header, "encoding": encoding, "prefix": prefix}
    return {"scheme": "hmac", "secrets": [secret], **more}


def standard_headers(
    body: bytes, *of: str, age_seconds: float = 0, message_id: str = "msg_1"
) -> dict[str, str]:
    """Return the headers of a request that is signed with each of these secrets."""
    seconds = int(time.time() - age_seconds)
    signatures = []
    for secret in of:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{message_id}.{seconds}.".encode() + body
        digest = hmac.new(key, content, hashlib.sha256).digest()
        signatures.append(f"v1,{base64.b64encode(digest).decode()}")
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signatures),
    }


def hmac_headers(body: bytes, sender: Mapping[str, Any]) -> dict[str, str]:
    digest = hmac.new(sender["secrets"][0].encode(), body, hashlib.sha256).digest()
    written = base64.b64encode(digest).decode()
    if sender["encoding"] == "hex":
        written = digest.hex()
    return {
        "Content-Type": "application/json",
        sender["header"]: sender["prefix"] + written,
    }
