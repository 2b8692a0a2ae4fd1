"""Requests of statements with files (multipart/mixed). The files are counted and dropped."""

from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.submission.statements import Attachments

JSON = "application/json"
HASH_HEADER = "X-Experience-API-Hash"
# Bytes of a request with its files. It is in memory as a whole.
MOST_BYTES = 4 << 20
MOST_PARTS = 1_000


def split_files(content_type: str, body: bytes) -> tuple[bytes, Attachments]:
    """Return the JSON of the statements, and the headers of their files in short. Raises Problem 400.

    The body is split at its boundary alone. A parser of mail also reads parts of parts, and the parameters of each
    header in quadratic time.
    """
    outer: Message = Message(policy=compat32)
    outer["Content-Type"] = content_type
    boundary = outer.get_boundary()
    if not boundary:
        raise _wrong("has no parts")
    delimiter = b"\r\n--" + boundary.encode("latin-1", errors="replace")
    _, *pieces = (b"\r\n" + body).split(delimiter, MOST_PARTS + 1)
    parts: list[tuple[Message, bytes]] = []
    for piece in pieces:
        if piece.startswith(b"--"):
            break
        head, _, content = piece.partition(b"\r\n\r\n")
        parts.append((BytesHeaderParser(policy=compat32).parsebytes(head.lstrip()), content))
    if not parts:
        raise _wrong("has no parts")
    if len(parts) > MOST_PARTS:
        raise _wrong(f"has more than {MOST_PARTS:,} parts")
    (first_head, statements), *files = parts
    if first_head.get_content_type() != JSON:
        raise _wrong(f"begins with a part that is not {JSON}")
    size = 0
    hashes = set()
    are_binary = True
    for head_of_file, content in files:
        if HASH_HEADER not in head_of_file:
            raise _wrong(f"has a file without {HASH_HEADER}")
        hashes.add(str(head_of_file[HASH_HEADER]).strip().lower())
        encoding = str(head_of_file.get("Content-Transfer-Encoding", ""))
        if encoding.strip().lower() != "binary":
            are_binary = False
        size += len(content)
    found = Attachments(
        number=len(files),
        bytes=size,
        hashes=frozenset(hashes),
        are_binary=are_binary,
    )
    return statements, found


def _wrong(reason: str) -> Problem:
    return Problem(400, "statement", f"The body is multipart/mixed and {reason}.")
