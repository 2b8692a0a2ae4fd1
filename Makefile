# EduGraph. `make` alone lists the targets for every day, `make help-all` all of them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_PROJECT_ENVIRONMENT := .venv
# Any supported Python will do, where .python-version would let uv fetch the oldest one.
export UV_PYTHON ?= >=3.11
# Our modules, and the tests as pytest rewrites them, are compiled once and not by each process: half of what it costs to
# collect the tests. Empty, since the environment may forbid it.
export PYTHONDONTWRITEBYTECODE :=
UV := $(shell command -v uv || echo .run/uv/bin/uv)
RUN := $(UV) run --no-sync
SERVERS := python3 -m tools.servers
TEST_SERVERS := $(SERVERS) --tests
RUN_DIR := .run
# Tests and benches delete what they find, so these addresses have names that no service reads.
ON_TEST_SERVERS = set -a; for file in $(RUN_DIR)/test-servers*.env; do source $$file; done; set +a;
# The seed of shuffled tests (the order of files, and of the tests in each) and of the places of mutants.
SEED ?= 16
SHUFFLED = -p randomly --randomly-seed=$(SEED) --randomly-dont-reset-seed

EVERYDAY := demo|test|fast|check|format|up|down|servers-stop|observe|help-all

help: ## list the targets for every day
	@grep -hE '^($(EVERYDAY)):.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

help-all: ## list all targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.run/uv/bin/uv:
	@python3 -m venv .run/uv && .run/uv/bin/pip --quiet install uv

# What `make env-page` installed stays: a sync removes whatever it was not asked for.
DRIVER_OF_BROWSER = $(if $(wildcard .venv/lib/python3*/site-packages/playwright),--group page)
env-dev: $(if $(shell command -v uv),,.run/uv/bin/uv) ## make the Python environment (uv, .venv)
	@# Compiled once, where PYTHONDONTWRITEBYTECODE would let each process compile all that it imports: half of the demo's CPU.
	@# Without pandas: scripts/packages_test.py says why, and has its tests.
	@$(UV) sync --quiet --frozen --all-packages --all-extras --no-extra pandas --compile-bytecode $(DRIVER_OF_BROWSER)

demo: env-dev ## import the examples on the embedded servers, ask about them, write a report
	@$(RUN) edugraph demo

# The traps of the broker wait for its time-outs, and the chaos tests stop servers: make traps, make chaos-tests.
SLOW_TESTS := --ignore-glob='*/test_traps_*.py' --ignore=tests/chaos --ignore=tests/page --ignore=tests/login --ignore=tests/mutation

# Workers share the tests out; each has servers of its own, since Neo4j Community has one database. What waits for real
# servers has three workers for two cores; what computes has one for each core.
test test-rest test-shuffled: WORKERS = $(shell $(SERVERS) workers)
# Neo4j for a run of minutes, which is started anew for a bench.
test test-rest test-shuffled invariants: export NEO4J_QUICK := 1
fast fast-shuffled coverage embedded-tests invariants page-test: WORKERS := 2
SHARED_OUT = $(if $(filter-out 1,$(WORKERS)),-n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0)
# Schemathesis is loaded by no test of it, and costs each process more than a second. The conftest of tests/e2e marks each
# test there as `system`, so no worker reads these files.
WITHOUT_SERVERS := -p no:schemathesis --ignore=tests/e2e --ignore-glob='*/test_*_document.py' $(SLOW_TESTS)
# `make fast` and `make test-rest` together are `make test`.
FAST := -m 'not real and not embedded and not system and not thorough' $(WITHOUT_SERVERS)
# Those of the graph, the limiter and the cache as well, on ArcadeDB and Valkey, which the run starts.
WITH_EMBEDDED := -m 'not real and not system and not thorough' $(WITHOUT_SERVERS)
# The tests that make a run long are printed at its end.
SLOWEST := --durations 30 --durations-min 5
REST := -m '(real or embedded or system or thorough) and not twin' $(SLOW_TESTS)
COVERED := --cov=edugraph_client --cov=edugraph_common --cov=edugraph_importer --cov=edugraph_analyzer --cov=edugraph_gateway --cov=edugraph_insights --cov=edugraph_cli

# The notebook of the examples makes tables of pandas, which the environment of the tests does not have.
env-notebook: env-dev
	@$(UV) export --quiet --frozen --package edugraph-client --extra pandas --no-emit-workspace --no-dev --output-file $(RUN_DIR)/pandas.txt
	@$(UV) pip install --quiet --target $(RUN_DIR)/pandas --requirement $(RUN_DIR)/pandas.txt

# The tools of the example of a warehouse are not those of the product, so they have an environment of their own.
env-dbt: env-dev
	@$(UV) venv --quiet --allow-existing $(RUN_DIR)/dbt
	@$(UV) pip install --quiet --python $(RUN_DIR)/dbt/bin/python --requirement examples/warehouse/requirements.txt

# The same holds for the board, which Apache Superset shows.
env-superset: env-dev
	@$(UV) venv --quiet --allow-existing $(RUN_DIR)/superset
	@$(UV) pip install --quiet --python $(RUN_DIR)/superset/bin/python --requirement examples/warehouse/superset/requirements.txt

test: env-dev env-notebook env-dbt env-superset test-servers ## set up what the tests need and run each test once, on real servers; the traps have `make traps`
	@$(ON_TEST_SERVERS) $(RUN) pytest $(SHARED_OUT) -m 'not twin' $(SLOW_TESTS) $(SLOWEST) $(PYTEST_ARGS)

test-rest: env-dev env-notebook env-dbt env-superset test-servers env-flower ## what `make fast` leaves out of `make test`
	@$(ON_TEST_SERVERS) $(RUN) pytest $(SHARED_OUT) $(REST) $(SLOWEST) $(PYTEST_ARGS)

test-shuffled: env-dev env-notebook env-dbt env-superset test-servers env-flower ## the tests of `make test` in the order of SEED=16
	@$(ON_TEST_SERVERS) $(RUN) pytest $(SHARED_OUT) $(SHUFFLED) -m 'not twin' $(SLOW_TESTS) $(PYTEST_ARGS)

fast: env-dev ## the tests that need no server, and open no connection unless they say why
	@$(RUN) pytest $(SHARED_OUT) $(FAST) $(PYTEST_ARGS)

embedded-tests: env-dev ## on the embedded engines of the demo, the tests that `make test` runs on the real servers
	@$(RUN) pytest $(SHARED_OUT) -m twin $(SLOW_TESTS) $(PYTEST_ARGS)

# Tracing costs 40 to 50 % of the CPU of each test (Python 3.11), so it is no part of `make fast`.
coverage: env-dev ## what the tests without servers and those on embedded engines cover
	@COVERAGE_FILE=$(RUN_DIR)/coverage $(RUN) pytest $(SHARED_OUT) $(WITH_EMBEDDED) $(COVERED) --cov-report= $(PYTEST_ARGS)
	@COVERAGE_FILE=$(RUN_DIR)/coverage $(RUN) coverage report --format=total | sed 's/^/coverage without real servers, in percent: /'

fast-shuffled: env-dev ## the tests of `make fast` in the order of SEED=16
	@$(RUN) pytest $(SHARED_OUT) $(SHUFFLED) $(FAST) $(PYTEST_ARGS)

check: env-dev ## lint, format, types, import contracts, plain English and open code
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy libs/client libs/common services/importer services/analyzer services/gateway services/insights cli scripts tools dev tests benchmarks research
	@$(RUN) lint-imports
	@$(RUN) python scripts/plain_english.py
	@$(RUN) python scripts/open_code.py --check
	@$(RUN) python scripts/sync_client.py --check
	@$(RUN) python scripts/privacy_page.py --check
	@$(RUN) python scripts/redis_users.py --check
	@$(RUN) python scripts/set_version.py --check >/dev/null
	@$(RUN) python scripts/chart_page.py --check

format: env-dev ## format the code
	@$(RUN) ruff check --fix --quiet; $(RUN) ruff format

ratchets: env-dev ## write the lower numbers of scripts/plain_english.json and scripts/open_code.json
	@$(RUN) python scripts/plain_english.py --write
	@$(RUN) python scripts/open_code.py --write

open-code: env-dev ## how much one statement holds, with the goals
	@$(RUN) python scripts/open_code.py

isolation: env-dev ## each service starts with nothing but its own declared dependencies
	@bash scripts/isolation.sh $(UV)

sync-client: env-dev ## write the client that blocks from the one that is awaited
	@$(RUN) python scripts/sync_client.py

freeze-record: env-dev ## record what users and servers see of the code: API, commands, settings, prompts, files, tests
	@$(RUN) python scripts/freeze.py --record

freeze: env-dev ## compare that with what was recorded; a difference that scripts/expected-changes.txt does not name fails
	@$(RUN) python scripts/freeze.py

settings-page: env-dev ## write docs/configuration.md from the settings
	@$(RUN) python scripts/settings_page.py

bench-stored-files: env-dev ## what cheap files cost, and how fast an erasure finds its files among 1,000
	@PYTHONPATH=.:tests $(RUN) python benchmarks/bench_stored_files.py $(BENCH_ARGS)

bench-gateway: env-dev test-servers ## submissions a second (goal 300), latency at that rate, memory of a 2 GB upload
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_gateway.py $(BENCH_ARGS)

bench-live: env-dev test-servers ## seconds from the POST of a statement to the graph at 500 a second for ten minutes; BENCH_ARGS="--minutes 1 --rate 200"
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_live.py $(BENCH_ARGS)

xapi-js-test: env-dev test-servers ## the receiver of statements with npm's @xapi/xapi as it is (installed into .run)
	@npm install --silent --no-audit --no-fund --prefix $(RUN_DIR)/xapi-js @xapi/xapi@3
	@$(ON_TEST_SERVERS) XAPI_NODE_MODULES=$(abspath $(RUN_DIR))/xapi-js/node_modules $(RUN) pytest tests/integration/test_xapi_receiver.py -k client_of_pages

xapi-conformance: env-dev test-servers ## ADL's conformance suite against the receiver; SUITE=folder is a checkout of lrs-conformance-test-suite
	@npm install --silent --no-audit --no-fund --prefix $(SUITE)
	@$(ON_TEST_SERVERS) XAPI_SUITE=$(abspath $(SUITE)) $(RUN) pytest -rA --no-header tests/integration/test_xapi_conformance.py

bench-import: env-dev test-servers ## how much of Neo4j's speed the import uses (about ten minutes)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_import.py $(BENCH_ARGS)

bench-growth: env-dev test-servers ## whether writes cost more in a larger graph: 10,000 and 100,000 records; BENCH_ARGS="--sizes 10000 1000000" (half an hour)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_growth.py $(BENCH_ARGS)

bench-persons: env-dev test-servers ## seconds until a late list of 10,000 ids with 20 records each is applied (goal 300); BENCH_ARGS="--aliases 1000"
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_persons.py $(BENCH_ARGS)

bench-schools: env-dev test-servers ## how much slower a school becomes while another one on the same RabbitMQ and Redis imports (goal 1.2 times)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_schools.py $(BENCH_ARGS)

bench-first-load: env-dev ## seconds of a first load by neo4j-admin database import, beside the importer's (BENCH_ARGS="--records 100000")
	@PYTHONPATH=.:tests $(RUN) python benchmarks/bench_first_load.py $(BENCH_ARGS)

ask-test: env-dev ## 100 questions in words with known answers in two languages: by phrases, and by scripted models
	@PYTHONPATH=.:tests $(RUN) python tests/ask_words.py

bench-insights: env-dev test-servers ## seconds of each question of insights with eight readers, of the first one, its memory, and an import beside it, on 100,000 records; BENCH_ARGS="--sizes 1000000"
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_insights.py $(BENCH_ARGS)

bench-course: env-dev ## CPU seconds of each question about a made course of 900,000 attempts in columns (goal 0.3); BENCH_ARGS="--students 1700"
	@PYTHONPATH=.:tests $(RUN) python benchmarks/bench_course.py $(BENCH_ARGS)

bench-warehouse: env-dev ## a first sync of a warehouse of 1,000,000 made rows: pace of the last tenth, memory, and a night's sync; BENCH_ARGS="--rows 10000000"
	@PYTHONPATH=.:tests $(RUN) python benchmarks/bench_warehouse.py $(BENCH_ARGS)

bench-redis: env-dev test-servers ## what 30 days of 1,000 inline imports a day leave in Redis, against its maxmemory
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_redis.py $(BENCH_ARGS)

bench-compare: env-dev test-servers ## this checkout's speed against that of another one, in turns: OTHER=PATH (ten minutes)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/compare.py $(OTHER) $(BENCH_ARGS)

servers: ## start RabbitMQ, Redis and Neo4j for `make up`
	@$(SERVERS) up

servers-stop: test-servers-stop ## stop the servers of `make up` and those of the tests
	@$(SERVERS) down

WORKERS ?= 1
test-servers: ## start the tests' own, whose data each test run deletes: one set for each of WORKERS=1
	@for worker in $$(seq $(WORKERS)); do $(TEST_SERVERS) --worker $$worker up || exit; done

test-servers-stop: ## stop just those of the tests, and delete their data
	@for worker in 1 2 3; do $(TEST_SERVERS) --worker $$worker down --wipe || exit; done

up: env-dev servers ## run gateway, importer and analyzer on those servers, in the background
	@$(RUN) python scripts/stack.py up

down: ## end the services with a warm shutdown; the servers stay
	@$(RUN) python scripts/stack.py down

-include make/*.mk

.PHONY: help help-all env-dev env-notebook env-dbt env-superset demo test test-rest test-shuffled embedded-tests fast fast-shuffled coverage check format isolation servers servers-stop test-servers test-servers-stop up down
