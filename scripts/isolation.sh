#!/usr/bin/env bash
# A workspace hides undeclared dependencies. So each service is installed alone here, and its entry module is imported.
# Then it is installed with the extras of its image (ARG EXTRAS of its Dockerfile), and the modules that need them are
# imported.
set -euo pipefail
uv=${1:-uv}
declare -A entry=(
  [edugraph-importer]=edugraph_importer.tasks
  [edugraph-analyzer]=edugraph_analyzer.tasks
  [edugraph-gateway]=edugraph_gateway.main
  [edugraph-insights]=edugraph_insights.main
  [edugraph-cli]=edugraph_cli.main
  [edugraph-client]=edugraph_client
)
for package in "${!entry[@]}"; do
  environment=$(mktemp -d)
  UV_PROJECT_ENVIRONMENT=$environment "$uv" sync --quiet --frozen --no-dev --package "$package"
  "$environment/bin/python" -c "import ${entry[$package]}"
  echo "$package: imports with its own dependencies alone"
  extras=$(sed -n 's/^ARG EXTRAS="\(.*\)"$/\1/p' "services/${package#edugraph-}/Dockerfile" 2>/dev/null || true)
  if [[ -n $extras ]]; then
    # shellcheck disable=SC2086
    UV_PROJECT_ENVIRONMENT=$environment "$uv" sync --quiet --frozen --no-dev --package "$package" $extras
    "$environment/bin/python" deploy/images/check_extras.py
    echo "$package: the extras of its image load"
  fi
  rm -rf "$environment"
done
