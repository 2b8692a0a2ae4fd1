privacy-page: env-dev ## write the inventory of docs/privacy.md from the registry of personal data
	@$(RUN) python scripts/privacy_page.py

shared-state-page: env-dev ## write docs/shared-state.md, all keys of Redis with their writers and readers
	@$(RUN) python scripts/shared_state_page.py

redis-users: env-dev ## write the users of the bundled Redis for compose.yaml and the chart, from what each service may
	@$(RUN) python scripts/redis_users.py

erasure-tests: env-dev test-servers ## a marked student through every path in 10 random orders, 20 erasures beside an import, 10 times, and all shared records to a provider (half an hour)
	@$(ON_TEST_SERVERS) EDUGRAPH_SLOW=1 $(RUN) pytest tests/e2e/test_marked_student.py tests/e2e/test_erasures_beside_import.py \
	  tests/integration/test_analyzer_shared.py::test_nothing_private_of_any_shared_record_reaches_the_provider $(PYTEST_ARGS)

.PHONY: privacy-page shared-state-page redis-users erasure-tests
