privacy-check: env-dev ## what the redaction finds of labelled secrets, and whether attacks of texts on the model succeed (seconds)
	@$(RUN) python -m evaluation.privacy_check

privacy-page: env-dev ## write the inventory of docs/privacy.md from the registry of personal data
	@$(RUN) python scripts/privacy_page.py

.PHONY: privacy-check privacy-page
