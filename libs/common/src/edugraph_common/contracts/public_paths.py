"""The paths of gateway and insights behind one address. All front proxies follow these lists.

Insights answers reads: pages, questions and the content of the graph. The gateway answers all other paths.
"""

# Insights answers these paths and the paths below them.
INSIGHTS_PATHS = ("/ui", "/mcp", "/v1/insights", "/v1/graph")
# Insights answers this path, but not the paths below it. It is the start page.
INSIGHTS_EXACT = ("/",)
# The gateway answers these paths although they are below a path of insights, because they change the graph.
GATEWAY_EXACT = ("/v1/graph/verify", "/v1/graph/rebuild", "/v1/graph/remove", "/v1/graph/rename")


def is_of_insights(path: str) -> bool:
    """Return whether insights answers this path. If not, the gateway does."""
    if path in GATEWAY_EXACT:
        return False
    if path in INSIGHTS_EXACT or path in INSIGHTS_PATHS:
        return True
    return any(path.startswith(f"{each}/") for each in INSIGHTS_PATHS)
