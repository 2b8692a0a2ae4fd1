"""Requests that a tool signs in place of sending a key: the check of the signature (docs/adr/0138).

The settings say how each sender signs. The webhooks that EduGraph itself sends are in `webhooks.py`.
"""

import base64
import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import NamedTuple

from starlette.datastructures import Headers

from edugraph_common.runtime.service.problems import Refusal
from edugraph_gateway.settings import SignedSender

# The headers of Standard Webhooks (https://www.standardwebhooks.com), version 1.0.0.
ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
# The allowed difference between the time of a request and the clock here.
TOLERANCE = timedelta(minutes=5)

_MESSAGE_ID = re.compile(r"[!-~]{1,256}")
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")


class Claim(NamedTuple):
    """The part of a request that can be read before its body.

    `signatures` are the signatures as they were sent. `before` are the bytes that are signed before the body.
    """

    signatures: tuple[str, ...]
    before: bytes


def claim_of(sender: SignedSender, headers: Headers, now: datetime) -> Claim:
    """Return the signatures that a request claims. Raises Refusal 401 if its headers cannot belong to the sender."""
    if sender.scheme == "standard":
        return _standard_claim(headers, now)
    given = _one_header(headers, sender.header or "")
    if not given.startswith(sender.prefix):
        raise _refused(f"The header {sender.header} does not begin with {sender.prefix}.")
    return Claim((given.removeprefix(sender.prefix),), b"")


def is_signed(sender: SignedSender, claim: Claim, body: bytes) -> bool:
    """Return whether one of the claimed signatures of this body is right. `body` has the bytes as they were sent."""
    found = False
    for key in sender.signing_keys():
        digest = hmac.new(key, claim.before + body, hashlib.sha256).digest()
        expected = _written(sender, digest).encode()
        for signature in claim.signatures:
            # Letters of headers are Latin-1. The comparison takes the same time wherever the texts differ.
            found |= hmac.compare_digest(expected, signature.encode("latin-1"))
    return found


def wrong_signature() -> Refusal:
    return _refused("The signature is not that of this body: check the secret.")


def _written(sender: SignedSender, digest: bytes) -> str:
    if sender.encoding == "hex":
        return digest.hex()
    return base64.b64encode(digest).decode()


def _standard_claim(headers: Headers, now: datetime) -> Claim:
    message_id = _one_header(headers, ID_HEADER)
    timestamp = _one_header(headers, TIMESTAMP_HEADER)
    given = _one_header(headers, SIGNATURE_HEADER)
    if not _MESSAGE_ID.fullmatch(message_id):
        raise _refused(f"The header {ID_HEADER} is not the id of a message.")
    if not _UNIX_SECONDS.fullmatch(timestamp):
        raise _refused(f"The header {TIMESTAMP_HEADER} is not a number of seconds since 1970.")
    if abs(int(timestamp) - now.timestamp()) > TOLERANCE.total_seconds():
        raise _refused(
            f"The time in {TIMESTAMP_HEADER} is more than five minutes from now: check the clocks."
        )
    signatures = []
    for each in given.split(" "):
        version, _, signature = each.partition(",")
        # Other versions are signatures by public keys, which a sender may add.
        if version == "v1" and signature:
            signatures.append(signature)
    if not signatures:
        raise _refused(f"The header {SIGNATURE_HEADER} has no signature of the version v1.")
    return Claim(tuple(signatures), f"{message_id}.{timestamp}.".encode())


def _one_header(headers: Headers, name: str) -> str:
    """Return the value of a header. Raises Refusal 401 if it is missing, empty or there twice."""
    values = headers.getlist(name)
    if len(values) != 1 or not values[0]:
        raise _refused(f"Send the header {name} once, as the sender of this source signs.")
    return values[0]


def _refused(words: str) -> Refusal:
    return Refusal(401, "signature", words)
