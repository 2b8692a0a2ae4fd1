"""`make dashboards`: deploy/k8s/dashboards/*.json from the modules beside this one."""

import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
MADE = FOLDER.parent / "k8s" / "dashboards"
NAMES = ("overview", "importer", "analyzer", "queues", "gateway", "insights", "workers", "fleet")


def texts() -> dict[str, str]:
    """The JSON of each dashboard, by the name of its file."""
    sys.path.insert(0, str(FOLDER))
    panels = import_module("panels")
    made = {}
    for name in NAMES:
        module = import_module(name)
        variables = getattr(module, "VARIABLES", panels.RELEASES)
        made[f"{name}.json"] = panels.dashboard_json(
            name, module.TITLE, module.ABOUT, module.ROWS, variables
        )
    return made


if __name__ == "__main__":
    MADE.mkdir(parents=True, exist_ok=True)
    for file, text in texts().items():
        (MADE / file).write_text(text, encoding="utf-8")
