CHAOS := PYTHONPATH=.:tests:benchmarks $(RUN) python tests/chaos

chaos: env-dev ## kill and cut everything under a running import, and compare with one in peace (CHAOS_SEEDS=10, half an hour)
	@$(CHAOS)/run.py
.PHONY: chaos

chaos-cluster: env-dev ## three RabbitMQ nodes, the leader of each queue killed in turn under submissions, then one for CHAOS_AWAY_SECONDS=30 (three minutes)
	@$(CHAOS)/cluster.py
.PHONY: chaos-cluster

chaos-tests: env-dev ## backup and restore, and each degraded mode, on servers of their own (a quarter of an hour)
	@EDUGRAPH_SLOW=1 $(RUN) pytest tests/chaos $(PYTEST_ARGS)
.PHONY: chaos-tests
