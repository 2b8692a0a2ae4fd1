# Research has an environment and a lock file of its own (research/README.md). Nothing of it is installed with the product.
RESEARCH_ENV := .run/research
RESEARCH := $(RESEARCH_ENV)/bin/python

env-research: $(if $(shell command -v uv),,.run/uv/bin/uv)
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(RESEARCH_ENV) $(UV) sync --quiet --frozen --project research

research-test: env-research ## the tests of research/, with the goals of the redaction and of the estimate of mastery (a minute)
	@# Not from the root: its pyproject.toml and conftest.py are for the packages of the workspace.
	@cd research && $(CURDIR)/$(RESEARCH) -m pytest -c pyproject.toml --rootdir=. tests $(PYTEST_ARGS)

evaluate: env-research ## agreement with human labels: the provider that is set, or a local model, beside the offline analyser (40 minutes, 1.1 GB)
	@$(RESEARCH) -m evaluation $(EVALUATE_ARGS)

evaluate-offline: env-research ## what the offline analyser finds of labelled mistakes, texts and messages, without labels and with them (two minutes)
	@$(RESEARCH) -m evaluation.offline_check

privacy-check: env-research ## what the redaction finds of labelled secrets, and whether attacks of texts on the model succeed (a minute)
	@$(RESEARCH) -m evaluation.privacy_check --model

bench-mastery: env-research ## how sure and how right the estimate of mastery is, against the truth of a synthetic school (a minute) and, with --answers FOLDER, real answers
	@$(RESEARCH) -m evaluation.mastery $(BENCH_ARGS)

bench-needs-help: env-research ## whether needs-help names the weakest students of synthetic schools, and not too many of them (two minutes)
	@$(RESEARCH) -m evaluation.needs_help $(BENCH_ARGS)

bench-did-it-help: env-research ## whether the interval of the question did-it-help has the true gain of talks in synthetic courses (three minutes)
	@$(RESEARCH) -m evaluation.did_it_help $(BENCH_ARGS)

bench-candidates: env-research ## how often the right knowledge point is among those that a model is shown, when half of the labels are known (a minute)
	@$(RESEARCH) -m evaluation.candidates

prerequisites-check: env-research ## what the offline rules state of prerequisites in textbooks, BOOKS=folder has checkouts of openstax/osbooks-* (a minute)
	@$(RESEARCH) -m evaluation.prerequisites_check $(BOOKS)

bench-small-groups: env-research ## what an outsider learns of one student from numbers with noise, and what a reader learns of a class (to be measured)
	@$(RESEARCH) -m evaluation.small_group_attacks $(BENCH_ARGS)

.PHONY: prerequisites-check bench-small-groups bench-candidates bench-did-it-help bench-needs-help env-research research-test evaluate evaluate-offline privacy-check bench-mastery
