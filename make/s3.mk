# The S3 server of the tests is built with Go, which takes minutes once for a machine: ahead of the tests, since each of
# them has a limit of its own. Exit code 3: it cannot be had here, and its tests are skipped (in CI they fail).
test test-rest test-shuffled: s3-server
s3-server: ## build the S3 server of the tests, once for this machine
	@python3 -m tools.s3 || test $$? = 3

bench-s3: env-dev test-servers s3-server ## bytes of a range and memory of 16 uploads on a real S3 server; BENCH_ARGS=--smoke
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_s3.py $(BENCH_ARGS)

.PHONY: s3-server bench-s3
