"""The shipped prompts, `<task>/<name>.jinja`; no prompt text lives in Python."""
