# What is too slow for each change, named and timed. docs/testing.md has how long each step takes.
NIGHTLY := mutants-nightly traps-quick flower-test "bench-gateway BENCH_ARGS=--smoke" "bench-import BENCH_ARGS=--smoke" \
  "bench-analyze BENCH_ARGS=--smoke" "bench-redis BENCH_ARGS=--smoke" "bench-mastery BENCH_ARGS=--smoke" "bench-growth BENCH_ARGS=--smoke" \
  "bench-insights BENCH_ARGS=--smoke" \
  "evaluate EVALUATE_ARGS=--help" "fuzz FUZZ_SEED=$$(( $$(date +%s) / 86400 ))" test-servers-stop \
  "chaos CHAOS_SEEDS=1 CHAOS_RECORDS=10000 CHAOS_TEXTS=200" up observe observe-stop down servers-stop

nightly: env-dev ## mutants of a quarter of the modules, quick traps, Flower's tests, a smoke of each bench, fuzz, chaos with one small seed, observe; each timed
	@python3 -m tools.steps $(NIGHTLY)

weekly: env-dev ## all of Kubernetes, every trap with its guard taken out, erasures in 10 orders, chaos of the broker's cluster, backup and degraded modes
	@python3 -m tools.steps kube-test-all traps erasure-tests observe-tests api-fuzz chaos-cluster chaos-tests servers-stop
.PHONY: nightly weekly
