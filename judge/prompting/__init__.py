"""Prompts: Jinja files with front matter, a sandboxed body, and delimiters that judged text cannot close."""
