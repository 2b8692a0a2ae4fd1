#!/usr/bin/env bash
# A workspace hides undeclared dependencies: here each service is installed alone and its entry module imported.
set -euo pipefail
uv=${1:-uv}
declare -A entry=(
  [edugraph-importer]=edugraph_importer.tasks
  [edugraph-analyzer]=edugraph_analyzer.tasks
  [edugraph-gateway]=edugraph_gateway.main
  [edugraph-cli]=edugraph_cli.main
)
for package in "${!entry[@]}"; do
  environment=$(mktemp -d)
  UV_PROJECT_ENVIRONMENT=$environment "$uv" sync --quiet --frozen --no-dev --package "$package"
  "$environment/bin/python" -c "import ${entry[$package]}"
  rm -rf "$environment"
  echo "$package: imports with its own dependencies alone"
done
