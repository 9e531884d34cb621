"""Jinja that others wrote, rendered within a budget: prompts, and the chat templates of models."""
