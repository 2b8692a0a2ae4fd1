"""The plug-in for machines without a Docker daemon: the same servers and programs from Debian's packages."""
