# A release. .github/workflows/release.yml calls these targets in this order; docs/releases.md says how a release is made.
RELEASE := python3 deploy/images/release.py

release-images: ## build for amd64 and arm64 with SBOM and provenance, and push: REGISTRY=registry.example.org/school (needs docker buildx)
	@$(RELEASE) images "$(REGISTRY)"

release-chart: ## package the chart with the pushed images by digest, and push it as OCI: REGISTRY=registry.example.org/school
	@$(RELEASE) chart "$(REGISTRY)"

release-sign: ## sign the pushed images and the chart with cosign
	@$(RELEASE) sign

release-wheels: env-dev ## build the wheels of the client and of the command line; INDEX=URL sends them to an index
	@$(RELEASE) wheels "$(abspath $(UV))" "$(INDEX)"

sbom: env-dev ## write .run/release/*.cdx.json, the packages of each service and of the command line (CycloneDX)
	@$(RELEASE) sbom "$(abspath $(UV))"

end-of-life: env-dev ## fail if something that is pinned gets no more fixes in 60 days; the dates are in deploy/end-of-life.yaml
	@$(RUN) python scripts/end_of_life.py

audit: env-dev ## known weaknesses of the locked Python packages (asks the package index)
	@mkdir -p .run/release
	@$(UV) export --quiet --frozen --all-packages --all-extras --no-default-groups --no-emit-workspace --output-file .run/release/packages.txt
	@$(UV) export --quiet --frozen --project services/flower --no-emit-project --output-file .run/release/flower.txt
	@$(UV) tool run --quiet pip-audit==2.10.1 --disable-pip --require-hashes --requirement .run/release/packages.txt
	@$(UV) tool run --quiet pip-audit==2.10.1 --disable-pip --require-hashes --requirement .run/release/flower.txt

third-party: env-dev env-flower ## write THIRD-PARTY-NOTICES.md, the licences of all that the images contain
	@$(RUN) python scripts/third_party.py

.PHONY: release-images release-chart release-sign release-wheels sbom end-of-life audit third-party
