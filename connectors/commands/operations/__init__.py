"""One module for each family of operations, with `OPERATIONS = (...)`; found by folder."""
