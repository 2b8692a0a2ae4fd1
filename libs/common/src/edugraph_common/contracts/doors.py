"""Which service answers which path, where one address leads to both: what all front proxies agree on.

Insights is the read door: pages, questions, and what the graph holds. All else is the gateway's.
"""

# What begins with one of these, as a whole part of the path, is of insights.
INSIGHTS_PATHS = ("/ui", "/mcp", "/v1/insights", "/v1/graph")
# The page to begin with.
INSIGHTS_EXACT = ("/",)
# They change the graph, so the gateway takes them, though they stand below a path of insights.
GATEWAY_EXACT = ("/v1/graph/verify", "/v1/graph/rebuild", "/v1/graph/remove", "/v1/graph/rename")


def is_of_insights(path: str) -> bool:
    """Whether insights answers this path; else it is the gateway's."""
    if path in GATEWAY_EXACT:
        return False
    return path in INSIGHTS_EXACT or any(path == each or path.startswith(f"{each}/") for each in INSIGHTS_PATHS)
