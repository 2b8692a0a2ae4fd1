# Signing in at a real Keycloak, which comes from Maven Central into the cache of the servers (tools/keycloak.py).
keycloak-test: env-page ## signing in on the page: a real Keycloak, both services behind Caddy, and Debian's chromium (a minute)
	@EDUGRAPH_LOGIN_TESTS=1 $(RUN) pytest tests/login $(PYTEST_ARGS)
.PHONY: keycloak-test
