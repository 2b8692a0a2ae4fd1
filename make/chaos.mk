CHAOS := PYTHONPATH=.:tests:benchmarks $(RUN) python tests/chaos

chaos: env-dev chaos-losses ## kill and cut everything under a running import, and compare with one in peace (CHAOS_SEEDS=10 or SEEDS="3 7", half an hour)
	@$(CHAOS)/run.py $(SEEDS)
.PHONY: chaos

chaos-losses: env-dev ## Redis flushed, the rows of a job deleted, a poisoned job, cancel and resume, at moments of SEEDS="1 2 3" (a quarter of an hour)
	@$(CHAOS)/losses.py $(SEEDS) $(CHAOS_ARGS)
.PHONY: chaos-losses

chaos-live: env-dev ## live statements and records while everything is killed and cut: each accepted one is there once; CHAOS_SEEDS=10 or SEEDS="1 2 3" (seven minutes a seed beside other work), CHAOS_ARGS="--rate 20"
	@$(CHAOS)/live.py $(SEEDS) $(CHAOS_ARGS)
.PHONY: chaos-live

chaos-cluster: env-dev ## three RabbitMQ nodes, the leader of each queue killed in turn under submissions, then one for CHAOS_AWAY_SECONDS=30; SEEDS="1" (three minutes each)
	@$(CHAOS)/cluster.py $(SEEDS)
.PHONY: chaos-cluster

chaos-tests: env-dev ## backup and restore, and each degraded mode, on servers of their own (a quarter of an hour)
	@EDUGRAPH_SLOW=1 $(RUN) pytest tests/chaos $(PYTEST_ARGS)
.PHONY: chaos-tests

bench-restore: env-dev ## seconds of a backup and a restore of 1,000,000 records, and whether an erased person comes back (half an hour); BENCH_ARGS="--records 20000"
	@$(CHAOS)/restoring.py $(BENCH_ARGS)
.PHONY: bench-restore
