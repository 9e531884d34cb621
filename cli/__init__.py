"""The command `rmjudge`: one verb a file, each of them parse, one library call, draw."""
