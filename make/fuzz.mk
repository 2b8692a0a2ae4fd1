FUZZ_EXAMPLES ?= 10000
FUZZ_SEED ?= 1
API_FUZZ_CASES ?= 5000

fuzz: env-dev test-servers ## hostile rows among good ones, FUZZ_EXAMPLES=10000 jobs of each source, and what became of each row (half an hour)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python tests/fuzz.py --examples $(FUZZ_EXAMPLES) --seed $(FUZZ_SEED) $(FUZZ_ARGS)

api-fuzz: env-dev test-servers ## API_FUZZ_CASES=5000 requests made of each of the two OpenAPI documents: answered as it says, and never by 5xx but 503
	@$(ON_TEST_SERVERS) EDUGRAPH_SCHEMATHESIS_CASES=$(API_FUZZ_CASES) $(RUN) pytest -s tests/integration/test_gateway_document.py tests/integration/test_insights_document.py $(PYTEST_ARGS)
.PHONY: fuzz api-fuzz

fuzz-reading: env-dev ## statements, events and marks with hostile parts, FUZZ_EXAMPLES=10000 of each: set aside, or read as they stand there
	@EDUGRAPH_EXAMPLES=$(FUZZ_EXAMPLES) $(RUN) pytest --timeout 36000 tests/unit/test_statements_are_not_misread.py libs/common/tests/test_marks_are_not_misread.py $(PYTEST_ARGS)
.PHONY: fuzz-reading

gradebooks: env-dev ## share of marks of gradebooks that the first import reads right, by layout and by form of the file; 1 if a goal is missed
	@PYTHONPATH=.:tests $(RUN) python tests/gradebook_figures.py $(GRADEBOOKS)
.PHONY: gradebooks

sender-fixtures: env-dev ## the fixtures of moodle-logstore_xapi and event-routing-backends, whose checkouts are in SENDERS=folder, against our tables
	@EDUGRAPH_SHARED_DATA=$(SENDERS) $(RUN) pytest libs/common/tests/test_fixtures_of_senders.py $(PYTEST_ARGS)
.PHONY: sender-fixtures
