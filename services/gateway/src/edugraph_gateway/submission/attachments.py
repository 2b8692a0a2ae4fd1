"""Requests of statements with files (multipart/mixed). The files are counted and dropped."""

from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP

from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.submission.statements import Attachments

JSON = "application/json"
# Bytes of a request with its files. It is in memory as a whole.
MOST_BYTES = 4 << 20


def split_files(content_type: str, body: bytes) -> tuple[bytes, Attachments]:
    """Return the JSON of the statements, and the number and size of the files. Raises Problem 400."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", errors="replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    parts = message.get_payload()
    if not message.is_multipart() or not isinstance(parts, list) or not parts:
        raise _wrong("has no parts")
    first, *files = parts
    if not isinstance(first, Message) or first.get_content_type() != JSON:
        raise _wrong(f"begins with a part that is not {JSON}")
    size = 0
    for part in files:
        if not isinstance(part, Message) or "X-Experience-API-Hash" not in part:
            raise _wrong("has a file without X-Experience-API-Hash")
        size += len(_content(part))
    return _content(first), Attachments(len(files), size)


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        raise _wrong("has a part that cannot be read")
    return content


def _wrong(reason: str) -> Problem:
    return Problem(400, "statement", f"The body is multipart/mixed and {reason}.")
