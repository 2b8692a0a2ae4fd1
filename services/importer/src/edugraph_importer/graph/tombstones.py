"""What is kept of an id that must not come back.

The id of a student is short and easy to guess, so a plain hash of it would tell who was erased. It is therefore keyed
with a secret of the installation, which is backed up apart from the graph (docs/adr/0032).
"""

import hmac

from pydantic import SecretStr

from edugraph_common.platform.audit import keyed_object
from edugraph_common.sources.students import plain_hash

KEYED = "h1:"  # before a keyed hash; older releases kept plain ones


class Tombstones:
    """Makes the tombstones of students."""

    def __init__(self, secret: SecretStr) -> None:
        self._text = secret.get_secret_value()
        self._secret = self._text.encode()

    def of(self, student_id: str) -> str:
        return self.keyed(plain_hash(student_id))

    def keyed(self, plain: str) -> str:
        """Return the tombstone of a student of whom only the plain hash is known."""
        return KEYED + hmac.digest(self._secret, plain.encode(), "sha256").hex()

    def in_audit_log(self, label: str, person_id: str) -> str:
        """Return how the audit log writes a person, since a log must not bring back who was erased."""
        return keyed_object(self._text, label.lower(), person_id)

    def forms(self, student_id: str) -> tuple[str, str]:
        """Return what a graph may hold of the student: a tombstone, or that of an older release."""
        plain = plain_hash(student_id)
        return self.keyed(plain), plain
