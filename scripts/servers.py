#!/usr/bin/env python3
"""Real RabbitMQ, Redis and Neo4j for this checkout: `servers.py up`, and for its tests `servers.py --tests up`.

The work is done in server_tools/. Only the standard library is used, because this runs before any
virtual environment exists.
"""

import sys

from server_tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
