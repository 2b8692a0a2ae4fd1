bench-analyze: env-dev test-servers ## the analyzer against the test provider: limit, packing, faults, nothing paid twice (about four minutes)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_analyze.py $(BENCH_ARGS)

bench-analysis-queue: env-dev test-servers ## what an import of 20,000 rows with analysis keeps in the broker (a minute)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_analysis_queue.py $(BENCH_ARGS)

.PHONY: bench-analyze bench-analysis-queue
