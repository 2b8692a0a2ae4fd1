"""Makes the fixtures of the chart's tests known to pytest; tests import the rest from rendered_chart."""

from rendered_chart import chart, example, find, pods

__all__ = ["chart", "example", "find", "pods"]
