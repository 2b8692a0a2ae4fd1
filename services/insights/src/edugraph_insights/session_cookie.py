"""The cookie of a session. A session that a learning platform began needs one that a frame of the platform sends.

Such a cookie is partitioned: the browser keeps it for the site of the platform alone, and another site that shows the
page in a frame gets none. Browsers that do not know partitions ignore the word. A partitioned cookie and another one
of the same name are two cookies, so whoever sets the one deletes the other.
"""

from starlette.responses import Response

from edugraph_common.runtime.shared_state.sessions import COOKIE

IN_FRAME = "Secure; HttpOnly; SameSite=None; Partitioned"


def set_in_frame(answer: Response, name: str, value: str, path: str, max_age: int | None) -> None:
    """Set a cookie that the browser also sends from a frame of the present site.

    Starlette knows the attribute Partitioned only from Python 3.14 on.
    """
    age = ""
    if max_age is not None:
        age = f"Max-Age={max_age}; "
    answer.headers.append("set-cookie", f"{name}={value}; Path={path}; {age}{IN_FRAME}")


def keep_session(answer: Response, session_id: str, *, secure: bool, knows_frames: bool) -> None:
    """Set the cookie of a person who signed in here. `knows_frames`: learning platforms may have set another one."""
    if knows_frames:
        set_in_frame(answer, COOKIE, "", "/", 0)
    # A cookie without an age ends with the browser. If the session ends before it, the page can say so.
    answer.set_cookie(COOKIE, session_id, path="/", secure=secure, httponly=True, samesite="lax")


def keep_session_in_frame(answer: Response, session_id: str) -> None:
    """Set the cookie of a person whom a learning platform sent."""
    answer.delete_cookie(COOKIE, path="/")
    set_in_frame(answer, COOKIE, session_id, "/", None)


def forget_session(answer: Response, *, knows_frames: bool) -> None:
    """Delete the cookie of a session, however it was set."""
    answer.delete_cookie(COOKIE, path="/")
    if knows_frames:
        set_in_frame(answer, COOKIE, "", "/", 0)
