"""Tombstones: hashes of the ids of erased students, whose records are refused.

The id of a student is short and easy to guess, so a plain hash of it would reveal who was erased. The hash is
therefore keyed with a secret of the installation, which is backed up separately from the graph (docs/adr/0032).
"""

import hmac

from pydantic import SecretStr

from edugraph_common.platform.audit import keyed_object
from edugraph_common.sources.students import plain_hash

_PREFIX = "h1:"  # names the kind of the hash


class Tombstones:
    """Makes the tombstones of students."""

    def __init__(self, secret: SecretStr) -> None:
        self._text = secret.get_secret_value()
        self._secret = self._text.encode()

    def of(self, student_id: str) -> str:
        return self.keyed(plain_hash(student_id))

    def keyed(self, plain: str) -> str:
        """Return the tombstone of a student, given the plain hash of the student's id."""
        return _PREFIX + hmac.digest(self._secret, plain.encode(), "sha256").hex()

    def in_audit_log(self, label: str, person_id: str) -> str:
        """Return the keyed name of a person in the audit log. A log must not reveal who was erased."""
        return keyed_object(self._text, label.lower(), person_id)
