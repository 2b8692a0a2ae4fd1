"""The general queries of the graph: search, details, neighbours, sub-graph, statistics and path."""
