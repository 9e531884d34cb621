"""`rmjudge rubric`."""
