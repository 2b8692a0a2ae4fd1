evaluate: env-dev ## agreement with human labels: the provider that is set, or a local model, beside the offline analyser (40 minutes, 1.1 GB)
	@$(RUN) python -m evaluation $(EVALUATE_ARGS)

evaluate-offline: env-dev ## what the offline analyser finds of labelled mistakes, texts and messages, without labels and with them (two minutes)
	@$(RUN) python -m evaluation.offline_check

bench-analyze: env-dev test-servers ## the analyzer against the test provider: limit, packing, faults, nothing paid twice (about four minutes)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_analyze.py $(BENCH_ARGS)

bench-analysis-queue: env-dev test-servers ## what an import of 20,000 rows with analysis keeps in the broker (a minute)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_analysis_queue.py $(BENCH_ARGS)

.PHONY: evaluate evaluate-offline bench-analyze bench-analysis-queue
