CHAOS := PYTHONPATH=tests:scripts:benchmarks $(RUN) python tests/chaos

chaos: env-dev ## kill and cut everything under a running import, and compare with one in peace (CHAOS_SEEDS=10, half an hour)
	@$(CHAOS)/run.py
.PHONY: chaos

chaos-cluster: env-dev ## three RabbitMQ nodes, the leader of each queue killed in turn under submissions (two minutes)
	@$(CHAOS)/cluster.py
.PHONY: chaos-cluster
