"""`make chart-page`: writes deploy/k8s/README.md and the descriptions of the schema from the comments of values.yaml.

`--check` writes nothing and fails if one of them is not current. A comment that begins with `# --` describes the key
below it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHART = Path(__file__).resolve().parent.parent / "deploy" / "k8s"
PAGE = CHART / "README.md"
SCHEMA = CHART / "values.schema.json"
HEAD = """# The chart of EduGraph

```
helm install edugraph oci://REGISTRY/charts/edugraph --version VERSION    # a release: docs/releases.md
helm install edugraph deploy/k8s --set images.registry=REGISTRY           # images of your own: make images-push
helm test edugraph
```

With no value set, the chart gives a complete system for evaluation. `examples/production.yaml` shows what to change
for real use, and docs/operations.md says why. Kubernetes {kubernetes}, Helm 3.17 or later, or 4.

Each worker group of `workers` has the keys of `workerDefaults`, and takes from there what it does not say.

`make chart-page` writes this page from the comments of values.yaml.

"""
# Longer defaults are shortened in the table.
LONGEST_DEFAULT = 60


class Key(NamedTuple):
    path: tuple[str, ...]
    text: str


def described(values: str) -> Iterator[Key]:
    """Yield each key that has a comment with `# --`, in the order of the file."""
    above: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in values.splitlines():
        key = re.match(r"^( *)([A-Za-z][A-Za-z0-9]*):", line)
        said = re.match(r"^ *# (.*)$", line)
        if said and said[1].startswith("-- "):
            comment = [said[1].removeprefix("-- ")]
        elif said and comment:
            comment.append(said[1])
        elif key:
            depth = len(key[1])
            above = [each for each in above if each[0] < depth]
            above.append((depth, key[2]))
            if comment:
                yield Key(tuple(name for _, name in above), " ".join(comment))
            comment = []
        else:
            comment = []


def at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values


def page(text: str, chart: dict[str, Any]) -> str:
    values = yaml.safe_load(text)
    rows = ["| Key | Default | Description |", "| --- | --- | --- |"]
    for key in described(text):
        default = json.dumps(at(values, key.path), ensure_ascii=False)
        if len(default) > LONGEST_DEFAULT:
            default = "see values.yaml"
        else:
            default = f"`{default}`"
        cells = [f"`{'.'.join(key.path)}`", default, key.text]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD.format(kubernetes=chart["kubeVersion"].removesuffix("-0")) + "\n".join(rows) + "\n"


def with_descriptions(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the schema with the comments as descriptions. A form that several keys share keeps none of its own."""
    for key in described(text):
        place = _property(schema, key.path)
        if place is not None:
            place["description"] = key.text
    return schema


def _property(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    place = schema
    for name in path:
        # workerDefaults is the only shared form that one key alone describes.
        if place.get("$ref") == "#/definitions/workerDefaults":
            place = schema["definitions"]["workerDefaults"]
        if name not in place.get("properties", {}):
            return None
        place = place["properties"][name]
    return place


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a file is not current")
    check = parser.parse_args(arguments).check
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    schema = with_descriptions(json.loads(SCHEMA.read_text(encoding="utf-8")), text)
    wanted = {
        PAGE: page(text, chart),
        SCHEMA: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
    }
    for file, content in wanted.items():
        if not check:
            file.write_text(content, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != content:
            print(f"{file.name} is not current: make chart-page", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
