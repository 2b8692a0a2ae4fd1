"""The scopes and roles of a caller. The API, the sessions and the command line all take their lists from here."""

from typing import Literal, get_args

# A scope allows a caller a group of actions at the gateway. `personal` allows nothing by itself: it adds rejects,
# texts, quotes and names to the answers that other scopes allow. `submit` is for learning records. `roster` is for
# the records that say who belongs to a group and who leads it, and so whom a teacher may see.
Scope = Literal[
    "read:own", "read", "personal", "submit", "roster", "review", "operate", "privacy", "erase"
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# A role is the caller's position at the school. It decides which insights the caller may see.
Role = Literal["analyst", "teacher", "student", "head", "counsellor", "officer"]
ROLES: tuple[Role, ...] = get_args(Role)
