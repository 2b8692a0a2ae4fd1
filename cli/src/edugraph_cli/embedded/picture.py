"""A picture of the graph as one HTML file that opens without a network."""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any


def write_picture(graph: Mapping[str, Any], path: Path) -> Path:
    """Write the page. `graph` has nodes of id, label and name, and edges of source, target and type."""
    page = resources.files("edugraph_cli.embedded").joinpath("picture.html").read_text(encoding="utf-8")
    # A "<" that is written as an escape cannot end the script element early.
    data = json.dumps({"nodes": graph["nodes"], "edges": graph["edges"]}, ensure_ascii=False).replace("<", "\\u003c")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.replace("__GRAPH__", data), encoding="utf-8")
    return path
