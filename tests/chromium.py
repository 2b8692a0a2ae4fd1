"""The browser that the tests, the pictures and the bench of the page drive."""

import shutil

# The shell without a window comes first: a page test takes a quarter less time with it.
_PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")


def chromium_program() -> str | None:
    """Return the path of an installed Chromium, or None."""
    for name in _PROGRAMS:
        path = shutil.which(name)
        if path is not None:
            return path
    return None
