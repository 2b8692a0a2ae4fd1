# Mutation testing: docs/testing.md has the table of the last runs.
MODULE ?= quarter
COUNT ?= 40
MUTANTS = $(RUN) python scripts/mutants.py

mutants: env-dev ## change MODULE=limiter (or all) in COUNT=40 places chosen by SEED=16; its tests must see 90 % of them
	@$(MUTANTS) $(MODULE) --seed $(SEED) --count $(COUNT) $(MUTANTS_ARGS)

mutants-nightly: env-dev ## a quarter of the modules, another one each night
	@$(MUTANTS) quarter --night $$(( $$(date +%s) / 86400 )) --seed $(SEED) --count $(COUNT)
.PHONY: mutants mutants-nightly
