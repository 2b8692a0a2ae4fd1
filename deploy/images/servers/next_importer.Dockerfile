# The importer of an invented later release, for the tests of an upgrade on a cluster: it has one more schema version.
ARG BASE
FROM ${BASE}
# Python imports a module of this name when it starts.
COPY next_release.py /next/sitecustomize.py
ENV PYTHONPATH=/next
