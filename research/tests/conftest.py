"""No setting of the shell reaches the tests, except the folder of the labelled data."""

import os


def pytest_configure() -> None:
    for name in list(os.environ):
        is_setting = name.startswith(("EDUGRAPH_", "OPENAI_"))
        if is_setting and name != "EDUGRAPH_SHARED_DATA":
            del os.environ[name]
