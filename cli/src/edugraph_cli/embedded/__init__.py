"""The all-in-one run: the same gateway and workers on two small servers from Python wheels."""
