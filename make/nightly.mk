# What is too slow for each change, named and timed. docs/testing.md has how long each step takes.
NIGHTLY := coverage embedded-tests research-test "invariants EXAMPLES=50" traps-quick flower-test "bench-gateway BENCH_ARGS=--smoke" "bench-import BENCH_ARGS=--smoke" "bench-live BENCH_ARGS=--smoke" \
  "bench-analyze BENCH_ARGS=--smoke" "bench-redis BENCH_ARGS=--smoke" "bench-mastery BENCH_ARGS=--smoke" "bench-growth BENCH_ARGS=--smoke" "bench-persons BENCH_ARGS=--smoke" "bench-restore BENCH_ARGS='--records 20000 --erased 5'" \
  "bench-insights BENCH_ARGS=--smoke" \
  "evaluate EVALUATE_ARGS=--help" "fuzz FUZZ_SEED=$$(( $$(date +%s) / 86400 ))" test-servers-stop \
  "chaos CHAOS_SEEDS=1 CHAOS_RECORDS=10000 CHAOS_TEXTS=200" "chaos-live SEEDS=$$(( $$(date +%s) / 86400 )) CHAOS_ARGS='--only kill swallow --rate 10'" up observe observe-stop down servers-stop

EXAMPLES ?= 200
ORDERS ?= 2000
PUPILS ?= 2000
SHUFFLES ?= 10

version-order: env-dev test-servers ## ORDERS=2000 random orders of imports, withdrawals and undos against a fold of their rows, on Neo4j
	@$(ON_TEST_SERVERS) EDUGRAPH_EXAMPLES=$(ORDERS) $(RUN) pytest --timeout 36000 -m real -k fold \
	  services/importer/tests/integration/test_version_order.py $(PYTEST_ARGS)

one-person: env-dev test-servers ## PUPILS=2000 pupils from five sources with other ids, in SHUFFLES=10 random orders, on Neo4j: each is one person
	@$(ON_TEST_SERVERS) EDUGRAPH_PUPILS=$(PUPILS) EDUGRAPH_SHUFFLES=$(SHUFFLES) $(RUN) pytest --timeout 36000 -m real \
	  services/importer/tests/integration/test_one_person.py $(PYTEST_ARGS)

invariants: env-dev test-servers ## the properties of the graph on both engines, each tried on EXAMPLES=200 made-up schools instead of 15
	@$(ON_TEST_SERVERS) EDUGRAPH_EXAMPLES=$(EXAMPLES) $(RUN) pytest $(SHARED_OUT) --timeout 3600 \
	  $$(grep -rlE '^@(SLOW_)?EXAMPLES' services/*/tests/integration) $(PYTEST_ARGS)

# Neo4j of the line named by year, in place of the one that the tests have: what an installation may upgrade to.
LATER_NEO4J ?= 2026.08.1
later-neo4j: env-dev ## the graph's tests, and that a file gives one graph, on Neo4j 2026.08 (LATER_NEO4J) and embedded; Java 21
	@python3 -m tools.servers --tests down --only neo4j
	@NEO4J_VERSION=$(LATER_NEO4J) $(MAKE) --no-print-directory test-servers
	@$(ON_TEST_SERVERS) $(RUN) pytest -m 'real or system' services/importer/tests/integration tests/e2e/test_same_graph.py $(PYTEST_ARGS); \
	  code=$$?; python3 -m tools.servers --tests down --only neo4j; exit $$code

# What meets the broker: users, messages, queues, dead letters, restarts, live records, and Celery's ways with all of them.
MEETS_BROKER := $(addprefix tests/integration/test_,broker_users.py dead_letters.py dead_letter_store.py gateway_async_publisher.py \
  gateway_faults.py gateway_operations.py gateway_takes_work.py live_waiting.py private_authority.py queue_depth.py refused_login.py \
  retention.py split_queue.py traps_connections.py traps_ends.py traps_gateway.py traps_messages.py traps_services.py traps_shutdown.py \
  webhooks.py worker_metrics.py xapi_receiver.py) \
  $(addprefix tests/e2e/test_,live_cuts.py reaper.py stop_and_go_on.py tasks_of_client.py)
later-rabbitmq: env-dev ## the tests of messages, queues, users and restarts on RabbitMQ 4.3, from the next Debian; root on Debian
	@python3 -m tools.servers --tests down --only rabbitmq redis
	@LATER_DEBIAN=1 $(MAKE) --no-print-directory test-servers
	@$(ON_TEST_SERVERS) LATER_DEBIAN=1 $(RUN) pytest -m 'real or system' $(MEETS_BROKER) $(PYTEST_ARGS); \
	  code=$$?; python3 -m tools.servers --tests down --only rabbitmq redis; exit $$code

nightly: env-dev ## coverage, the tests on the embedded engines, the tests of research, properties of the graph on 50 examples, quick traps, Flower's tests, a smoke of each bench, fuzz, chaos and live chaos with one small seed, observe; each timed
	@python3 -m tools.steps $(NIGHTLY)

weekly: env-dev ## mutants of all modules, properties of the graph on 200 examples, its tests on the next Neo4j, those of messages on the next RabbitMQ, every trap with its guard taken out, erasures in 10 orders, chaos of the broker's cluster, backup and degraded modes, the whole test of the chart on a cluster
	@python3 -m tools.steps mutants invariants later-neo4j later-rabbitmq traps erasure-tests observe-tests api-fuzz chaos-cluster chaos-tests kube-test-all servers-stop
.PHONY: invariants version-order one-person later-neo4j later-rabbitmq nightly weekly
