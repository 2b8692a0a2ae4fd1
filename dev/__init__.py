"""Stands in for Docker and kind on one kind of machine: Debian 13 as root, inside a container."""
