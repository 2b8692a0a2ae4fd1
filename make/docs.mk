# The documentation site, in an environment and with a lock file of its own.
SITE_ENV := .run/site-env

docs: $(if $(shell command -v uv),,.run/uv/bin/uv) ## build the documentation site into .run/site; a broken link, anchor or page outside of the menu fails (half a minute)
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(SITE_ENV) $(UV) sync --quiet --frozen --project dev/site
	@NO_MKDOCS_2_WARNING=1 $(SITE_ENV)/bin/mkdocs build --strict --config-file dev/site/mkdocs.yml
.PHONY: docs
