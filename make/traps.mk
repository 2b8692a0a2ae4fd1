traps: env-dev servers ## every trap of the broker, also with its guard taken out, and an import whose workers are killed (about twenty minutes)
	@set -a; source $(RUN_DIR)/servers.env; set +a; EDUGRAPH_SLOW=1 $(RUN) pytest tests/integration/test_traps_*.py tests/e2e/test_traps_*.py $(PYTEST_ARGS)
.PHONY: traps
