# See it: metrics, dashboards, alerts, Flower, workers.
CELERY = set -a; source $(RUN_DIR)/servers.env; set +a; EDUGRAPH_BLOB_URL=$${EDUGRAPH_BLOB_URL:-$(RUN_DIR)/blobs} $(RUN) celery -A edugraph_$(SERVICE).worker
FLOWER_ENV := .run/flower
SERVICE ?= importer
QUEUES ?= data_import,import_splits,live_records
CONCURRENCY ?= 2

celery-worker: env-dev servers ## a worker in the foreground: SERVICE=importer QUEUES=data_import,import_splits,live_records CONCURRENCY=2
	@$(CELERY) worker -Q $(QUEUES) -c $(CONCURRENCY) -n $(SERVICE)-$(QUEUES)@%h -E --without-gossip --without-mingle \
	  --time-limit 3600 --soft-time-limit 3300 --max-tasks-per-child 1000 --prefetch-multiplier 1 --loglevel INFO

celery-status: env-dev ## what the workers do: active, registered, stats, active queues
	@for what in active registered stats active_queues; do echo "== $$what"; $(CELERY) inspect $$what || exit $$?; done

celery-purge: env-dev ## throw all waiting tasks away; asks first
	@$(CELERY) purge -Q data_import,import_splits,live_records,graph_findings,llm_analysis

env-flower: $(if $(shell command -v uv),,.run/uv/bin/uv)
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(FLOWER_ENV) $(UV) sync --quiet --frozen --project services/flower

celery-flower: env-flower servers ## Flower on the workers (FLOWER_BASIC_AUTH=USER:PASSWORD, or it makes one up)
	@set -a; source $(RUN_DIR)/servers.env; set +a; \
	  export FLOWER_BASIC_AUTH=$${FLOWER_BASIC_AUTH:-admin:$$(head -c 12 /dev/urandom | base64 | tr -d '+/=')}; \
	  echo "http://127.0.0.1:$${FLOWER_PORT:-5555}  $$FLOWER_BASIC_AUTH"; \
	  $(FLOWER_ENV)/bin/edugraph-flower --address=127.0.0.1 --port=$${FLOWER_PORT:-5555}

flower-test: env-flower ## the tests of Flower, in its own environment
	@$(FLOWER_ENV)/bin/python -c 'import pytest' 2>/dev/null || $(UV) pip install --quiet --python $(FLOWER_ENV)/bin/python 'pytest>=8.3' 'pytest-timeout>=2.3'
	@# Not from the root: its pyproject.toml and conftest.py are for the packages of the workspace.
	@cd services/flower && $(CURDIR)/$(FLOWER_ENV)/bin/python -m pytest -q -c pyproject.toml --rootdir=. tests $(PYTEST_ARGS)

test-celery: env-dev test-servers ## the tests of tasks, broker, workers and their metrics
	@$(ON_TEST_SERVERS) \
	  $(RUN) pytest libs/common/tests tests/contract tests/integration -k 'not gateway and not llama' $(PYTEST_ARGS)

observe-tests: env-flower env-dev test-servers ## metrics over restarts of 26 children, alerts that fire, traces, as slow as they are (about ten minutes)
	@$(ON_TEST_SERVERS) EDUGRAPH_SLOW=1 \
	  $(RUN) pytest tests/integration/test_observed.py tests/integration/test_worker_metrics.py tests/integration/test_tracing.py $(PYTEST_ARGS)

metrics-doc: env-dev ## write docs/metrics.md from the list of metrics
	@$(RUN) python scripts/metrics_page.py

dashboards: env-dev ## write deploy/k8s/dashboards/*.json
	@$(RUN) python deploy/dashboards/make.py

alerts: ## check and test the alerts with promtool
	@python3 -m tools.prometheus check rules deploy/k8s/alerts/rules.yaml
	@python3 -m tools.prometheus test rules deploy/k8s/alerts/tests.yaml

observe: env-dev ## Prometheus on the stack of `make up`; an import with analysis, and every panel must have data
	@$(RUN) python scripts/observe.py up

observe-stop: ## end that Prometheus
	@$(RUN) python scripts/observe.py down

test: env-flower

.PHONY: celery-worker celery-status celery-purge env-flower celery-flower test-celery metrics-doc dashboards alerts observe observe-stop observe-tests flower-test
