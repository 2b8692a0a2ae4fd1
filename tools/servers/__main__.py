"""`python3 -m tools.servers up`, and for the tests `python3 -m tools.servers --tests up`, in the checkout's root.

The module uses only the standard library, because it runs before any virtual environment exists.
"""

import sys

from tools.servers.cli import main

if __name__ == "__main__":
    sys.exit(main())
