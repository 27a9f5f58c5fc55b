"""The lines of the table, a module for each group: `rows(bench)` yields what it measured."""
