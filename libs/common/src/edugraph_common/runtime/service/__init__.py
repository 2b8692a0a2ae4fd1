"""The base of every process: settings, logs, metrics, traces, and the parts of an HTTP service. It keeps no data."""
