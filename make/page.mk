# The page in a real browser. Its driver is in a group of its own: nothing else needs it.
CHROMIUM := $(shell command -v chromium-headless-shell || command -v chromium || command -v google-chrome)

env-page: env-dev
	@$(UV) sync --quiet --frozen --all-packages --all-extras --no-extra pandas --group page
	@$(if $(CHROMIUM),,python3 -c 'from dev.debian.packages import apt_install; apt_install("chromium-headless-shell", "fonts-noto-cjk")')

# The platform of test_open_edx.py, with the libraries of Open edX, which the product does not have.
env-open-edx: env-dev
	@$(UV) venv --quiet --allow-existing $(RUN_DIR)/open-edx
	@$(UV) pip install --quiet --python $(RUN_DIR)/open-edx/bin/python --requirement tests/page/open_edx/requirements.txt

page-test: env-page env-open-edx ## the page in Debian's chromium on the example school: numbers, filters, keyboard, both languages, axe, imports and the tutorial on the demo (three minutes)
	@EDUGRAPH_PAGE_TESTS=1 $(RUN) pytest $(SHARED_OUT) $(SLOWEST) tests/page $(PYTEST_ARGS)

# TypeScript and ESLint with their packages. The page itself needs neither.
PAGE_CHECKS := $(RUN_DIR)/page-checks
env-page-check:
	@$(if $(shell command -v npm),,python3 -c 'from dev.debian.packages import apt_install; apt_install("nodejs", "npm")')
	@mkdir -p $(PAGE_CHECKS)
	@cp -r $(addprefix services/insights/page-checks/,package.json package-lock.json tests) $(PAGE_CHECKS)
	@ln -sfn $(CURDIR)/services/insights/src/edugraph_insights/web $(PAGE_CHECKS)/web
	@npm ci --silent --no-audit --no-fund --prefix $(PAGE_CHECKS)

page-check: env-page-check ## the modules of the page without a browser: names that are not there, wrong types, unused parts, and their tests
	@$(PAGE_CHECKS)/node_modules/.bin/tsc --project services/insights/page-checks
	@$(PAGE_CHECKS)/node_modules/.bin/eslint --max-warnings 0 --config services/insights/page-checks/eslint.config.js services/insights/src/edugraph_insights/web services/insights/page-checks/tests
	@cd $(PAGE_CHECKS) && node --disable-warning=MODULE_TYPELESS_PACKAGE_JSON --test --test-reporter=dot

screenshots: env-page ## write docs/images/*.png, the pictures of the page in README, docs and tutorial
	@PYTHONPATH=.:tests $(RUN) python tests/page/screenshots.py

bench-page: env-page test-servers ## how soon each page shows its picture, and a search answers, in a large school; BENCH_ARGS="--size 1000000" (a quarter of an hour)
	@$(ON_TEST_SERVERS) PYTHONPATH=.:tests $(RUN) python benchmarks/bench_page.py $(BENCH_ARGS)

example-school: env-dev ## write the example school that the page imports into an empty installation, from examples/
	@$(RUN) python scripts/example_school.py

.PHONY: example-school env-open-edx env-page env-page-check page-check page-test screenshots bench-page
