privacy-check: env-dev ## what the redaction finds of labelled secrets, and whether attacks of texts on the model succeed (seconds)
	@$(RUN) python -m evaluation.privacy_check

.PHONY: privacy-check
