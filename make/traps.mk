traps: env-dev test-servers ## every trap of the broker, also with its guard taken out, and an import whose workers are killed (about twenty minutes)
	@$(ON_TEST_SERVERS) EDUGRAPH_SLOW=1 $(RUN) pytest tests/integration/test_traps_*.py tests/e2e/test_traps_*.py $(PYTEST_ARGS)
	@$(ON_TEST_SERVERS) EDUGRAPH_SLOW=1 EDUGRAPH_SCHEMATHESIS_CASES=2000 $(RUN) pytest tests/integration/test_gateway_document.py tests/integration/test_memory_of_bodies.py tests/e2e/test_stop_and_go_on.py tests/e2e/test_redis_loses_all.py tests/e2e/test_small_beside_large.py $(PYTEST_ARGS)

traps-quick: env-dev test-servers ## those that take seconds
	@$(ON_TEST_SERVERS) $(RUN) pytest tests/integration/test_traps_*.py $(PYTEST_ARGS)
.PHONY: traps traps-quick
