traps: env-dev servers ## every trap of the broker, also with its guard taken out (about fifteen minutes)
	@set -a; source $(RUN_DIR)/servers.env; set +a; EDUGRAPH_SLOW=1 $(RUN) pytest tests/integration/test_traps_*.py $(PYTEST_ARGS)
.PHONY: traps
