"""The scopes and roles of a caller. The API, the sessions and the command line all take their lists from here."""

from typing import Literal, get_args

# A scope says what a caller may do at the gateway. `personal` opens nothing by itself: it adds rejects, texts,
# quotes and names to the answers that other scopes open.
Scope = Literal["read:own", "read", "personal", "submit", "review", "operate", "privacy", "erase"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# A role says what a caller is at school, and so which insights they get.
Role = Literal["analyst", "teacher", "student", "head", "counsellor", "officer"]
ROLES: tuple[Role, ...] = get_args(Role)
