# Images, compose and the chart.
CHART_ENV := .run/chart-env

chart-test: $(if $(shell command -v uv),,.run/uv/bin/uv) ## the chart's tests: Helm 3 and 4, no cluster
	@UV_PROJECT_ENVIRONMENT=$(CHART_ENV) $(UV) sync --quiet --frozen --only-group chart
	@# cloudcoil's models bring a pytest plugin that wants a cluster of its own.
	@PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(CHART_ENV)/bin/pytest -p pytest_timeout deploy/k8s/tests $(PYTEST_ARGS)
.PHONY: chart-test

images: ## build the images with Docker or buildah, and print their sizes
	@python3 deploy/images/build.py $(IMAGES_ARGS)

env: ## write .env for `docker compose` with random passwords
	@python3 deploy/compose/make_env.py

compose-test: ## start compose.yaml for real, import a file through it, end it
	@python3 deploy/images/build.py --servers
	@python3 deploy/compose/try.py
.PHONY: images env compose-test

kube-test: ## the chart on a real Kubernetes (KUBECONFIG, or one made here): install, test, import, upgrade, uninstall
	@python3 deploy/k8s/tests/kubernetes/run.py

kube-test-all: ## that, and restarts under load, probes, scaling, network policies
	@python3 deploy/k8s/tests/kubernetes/run.py --all
.PHONY: kube-test kube-test-all
