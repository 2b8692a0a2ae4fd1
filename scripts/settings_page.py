"""`make settings-page`: writes docs/configuration.md from the settings. A test checks that the page is current."""

import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_client import ClientSettings
from edugraph_common.runtime.service.settings import Settings
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.webhooks import WebhookSettings
from edugraph_importer.graph import GraphSettings
from edugraph_insights.settings import InsightsSettings, MailSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
SECTIONS: dict[str, type[BaseSettings]] = {
    "All processes": Settings,
    "Importer: the graph": GraphSettings,
    "Analyzer": AnalyzerSettings,
    "Gateway": GatewaySettings,
    "Webhooks": WebhookSettings,
    "Insights": InsightsSettings,
    "edugraph-digest: these, and those of insights": MailSettings,
    "Command line": ClientSettings,
}
HEAD = """# Configuration

Every setting is an environment variable. A secret has no default and is never printed. This page is made from the
code (`make settings-page`).
"""


def page() -> str:
    shared = set(Settings.model_fields)
    parts = [HEAD]
    for title, model in SECTIONS.items():
        own = model.model_fields if model is Settings else _without(model.model_fields, shared)
        parts.append(f"\n## {title}\n\n| variable | default | meaning |\n|---|---|---|\n")
        parts += [_row(model, name, field) for name, field in own.items()]
    return "".join(parts)


def _without(fields: dict[str, FieldInfo], names: set[str]) -> dict[str, FieldInfo]:
    return {name: field for name, field in fields.items() if name not in names}


def _row(model: type[BaseSettings], name: str, field: FieldInfo) -> str:
    # A bar inside of a cell would begin another cell.
    meaning = _meaning(field).replace("|", "\\|")
    return f"| `{_variable(model, name, field)}` | {_default(field)} | {meaning} |\n"


def _variable(model: type[BaseSettings], name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    choices = getattr(alias, "choices", None) or ([alias] if isinstance(alias, str) else [])
    named = [str(choice) for choice in choices if str(choice).isupper()]
    return "` or `".join(named) or f"{model.model_config.get('env_prefix', '')}{name}".upper()


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "**required**"
    if value is None or isinstance(value, SecretStr):
        return "–"
    return f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()) or "–"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
