"""A real Kubernetes with one node, for machines that have no cluster for `make kube-test`."""
