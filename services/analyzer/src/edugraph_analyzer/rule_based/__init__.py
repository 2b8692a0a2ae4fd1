"""The analyser without a model: word lists and rules. It answers where no provider is set."""
