"""The attempts of courses as columns: tables in DuckDB that are filled from the graph, and read by questions."""
