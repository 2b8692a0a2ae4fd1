"""The settings of a service under test, from the environment that its process gets."""

from collections.abc import Mapping

from edugraph_common.runtime.service.settings import Settings


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return them; what the environment does not name has its default."""
    names = {name: f"EDUGRAPH_{name.upper()}" for name in Settings.model_fields}
    return Settings.model_validate(
        {name: environment[key] for name, key in names.items() if key in environment}
    )
