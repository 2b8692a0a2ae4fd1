"""A real Kubernetes of one node, for machines that have none to give to `make kube-test`."""
