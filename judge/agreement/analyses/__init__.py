"""One analysis a module: from a table to rows of the report."""
