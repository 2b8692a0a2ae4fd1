"""The embedded run: the same gateway, insights and workers on two small servers from Python wheels."""
