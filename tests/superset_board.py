"""The board of examples/warehouse in Apache Superset itself: `python superset_board.py BOARD MODELS HOME`.

Imports the files of the board into a new Superset, whose database is in HOME, and lets it read the models of dbt. Writes
the rows of each chart as JSON: {title: [row]}. Superset has an environment of its own, so a test runs this as a program.
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

BOARD, MODELS, HOME = map(Path, sys.argv[1:])
DATABASE = "databases/edugraph.yaml"


def main() -> None:
    config = HOME / "superset_config.py"
    # The cache of Superset keeps nothing that one run needs.
    config.write_text(
        f"SQLALCHEMY_DATABASE_URI = 'sqlite:///{HOME / 'superset.db'}'\n"
        f"SECRET_KEY = '{secrets.token_hex(32)}'\n"
        "FILTER_STATE_CACHE_CONFIG = EXPLORE_FORM_DATA_CACHE_CONFIG = {'CACHE_TYPE': 'NullCache'}\n"
    )
    os.environ["SUPERSET_CONFIG_PATH"] = str(config)
    from superset.app import create_app

    application = create_app()
    with application.app_context():
        from flask_migrate import upgrade

        upgrade()
        rows = rows_of_charts()
    sys.stdout.write(json.dumps(rows, default=str))


def rows_of_charts() -> dict[str, list[dict[str, Any]]]:
    """Import the board as an administrator, and return what its charts show."""
    from superset import appbuilder, db, security_manager
    from superset.charts.schemas import ChartDataQueryContextSchema
    from superset.commands.chart.data.get_data_command import ChartDataCommand
    from superset.commands.dashboard.importers.v1 import ImportDashboardsCommand
    from superset.models.slice import Slice
    from superset.utils.core import override_user

    # These are the steps of `superset init`.
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    role = security_manager.find_role("Admin")
    password = secrets.token_hex(16)
    administrator = security_manager.add_user(
        "admin", "Ad", "Min", "admin@school.example", role, password=password
    )
    found = {}
    with override_user(administrator):
        ImportDashboardsCommand(files()).run()
        for chart in db.session.query(Slice):
            asked = ChartDataQueryContextSchema().load(json.loads(chart.query_context))
            command = ChartDataCommand(asked)
            command.validate()
            [answer] = command.run()["queries"]
            if answer["error"]:
                raise RuntimeError(answer["error"])
            found[chart.slice_name] = answer["data"]
    return found


def files() -> dict[str, str]:
    """Return the files of the board by their paths, with the path of the models that a user enters."""
    found = {}
    for path in sorted(BOARD.rglob("*.yaml")):
        found[str(path.relative_to(BOARD))] = path.read_text(encoding="utf-8")
    placeholder = "/data/warehouse.duckdb"
    assert placeholder in found[DATABASE]
    found[DATABASE] = found[DATABASE].replace(placeholder, str(MODELS))
    return found


main()
