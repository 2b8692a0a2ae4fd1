# Mutation testing. It runs once a week and is no gate: docs/testing.md says how it works.
MODULE ?= all
COUNT ?= 40

mutants: env-dev ## change each module (or MODULE=limiter) in COUNT=40 places chosen by SEED=16; its tests must see 90 % of them
	@$(RUN) pytest tests/mutation
	@$(RUN) python scripts/mutants.py $(MODULE) --seed $(SEED) --count $(COUNT) $(MUTANTS_ARGS)
.PHONY: mutants
