"""The analyser without a model: word lists, rules, and optional libraries. It answers where no provider is set."""
