#!/usr/bin/env python3
"""Runs promtool or prometheus, wherever it comes from: `python3 scripts/promtool.py check rules FILE`."""

import os
import shutil
import sys

from server_tools.common import ServerError, say
from server_tools.prometheus import program


def main(arguments: list[str]) -> int:
    try:
        tool = shutil.which("promtool") if os.environ.get("EDUGRAPH_OWN_PROMTOOL") else str(program("promtool"))
    except ServerError as error:
        say(str(error), "promtool")
        return 3
    os.execv(tool or "promtool", ["promtool", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
