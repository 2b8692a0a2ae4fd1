"""Tables of a warehouse in the Delta format, which follow the graph."""
