# Images, compose and the chart.
CHART_ENV := .run/chart-env

chart-test: $(if $(shell command -v uv),,.run/uv/bin/uv) ## the chart's tests: Helm 3 and 4, no cluster
	@UV_PROJECT_ENVIRONMENT=$(CHART_ENV) $(UV) sync --quiet --frozen --only-group chart
	@# cloudcoil's models bring a pytest plugin that wants a cluster of its own.
	@PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(CHART_ENV)/bin/pytest -p pytest_timeout deploy/k8s/tests $(PYTEST_ARGS)
.PHONY: chart-test

chart-checkov: $(if $(shell command -v uv),,.run/uv/bin/uv) ## checkov on the rendered chart; its exceptions are in deploy/k8s/tests/checkov.yaml
	@mkdir -p .run/chart
	@for values in "" minimal small production everything; do \
	  "$$(python3 -m tools.helm 4)" template edugraph deploy/k8s $${values:+-f deploy/k8s/examples/$$values.yaml} \
	    --api-versions keda.sh/v1alpha1 --api-versions monitoring.coreos.com/v1 >.run/chart/$${values:-default}.yaml || exit; \
	done
	@$(UV) tool run --quiet --from checkov==3.3.30 checkov --config-file deploy/k8s/tests/checkov.yaml --directory .run/chart
.PHONY: chart-checkov

chart-page: env-dev ## write deploy/k8s/README.md and the descriptions of the schema from the comments of values.yaml
	@$(RUN) python scripts/chart_page.py
.PHONY: chart-page

version: env-dev ## write the version of a release everywhere: VERSION=0.2.0; without it, print the version
	@$(RUN) python scripts/set_version.py $(VERSION)

packages-test: env-dev ## build the wheels of the client and of the command line, and install each alone from an index here
	@$(RUN) python scripts/packages_test.py $(abspath $(UV))
.PHONY: version packages-test

images: ## build the images with Docker or buildah, and print their sizes
	@python3 deploy/images/build.py $(IMAGES_ARGS)

images-push: ## build and push them: REGISTRY=registry.example.org/school, and TAG= unless it is the chart's appVersion
	@python3 deploy/images/build.py --push "$(REGISTRY)" --tag "$(TAG)" $(IMAGES_ARGS)

images-test: env-dev ## push them to a registry here; what the chart names of ours must come back from it and work (five minutes)
	@$(RUN) python deploy/images/try_push.py

env: ## write .env for `docker compose` with random passwords
	@python3 deploy/compose/make_env.py

compose-test: env-dev ## start compose.yaml for real, import a small file, 2 MB, a workbook and a URL through it, end it
	@python3 deploy/images/build.py --servers --proxy
	@$(RUN) python deploy/compose/try.py
.PHONY: images images-push images-test env compose-test

kube-test: ## the chart on a real Kubernetes (KUBECONFIG, or one made here): install, test, import, upgrade, uninstall
	@python3 deploy/k8s/tests/kubernetes/run.py

# The dashboards are checked with our own list of metrics, hence the environment.
kube-test-all: env-dev ## that, and 30,000 records under load, probes, scaling (HPA, KEDA), network policies, monitoring, signing in, two nodes
	@$(RUN) python deploy/k8s/tests/kubernetes/run.py --all
	@[ -n "$$KUBECONFIG" ] || $(RUN) python deploy/k8s/tests/kubernetes/run.py --all --helm 4 --points nodes

kube-test-part: env-dev ## one of eight parts of kube-test-all, by the number of the commit (15 to 30 minutes beside other tests)
	@$(RUN) python deploy/k8s/tests/kubernetes/run.py --part-of-commit $$(git rev-list --count HEAD)

kube-plan-test: ## drain each of three simulated nodes under the chart and its examples: real API server, scheduler and evictions (two minutes)
	@python3 deploy/k8s/tests/kubernetes/plan.py
.PHONY: kube-test kube-test-all kube-test-part kube-plan-test
