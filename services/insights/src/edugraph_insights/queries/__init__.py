"""The general queries of a graph: search, details, neighbours, relationships, sub-graph and path."""
