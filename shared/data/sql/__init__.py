"""Rows of a database: a query is run once, read-only, and its rows are kept as a file of a table."""
