"""Judges behind any server that speaks the OpenAI protocol.

answers: what a server's bytes mean. dialect: which fields a server takes. address: where it is and with which key.
connection: one HTTP connection pool, patience and deadlines. throttle: how many requests are under way. token_ids:
exact probabilities where a server takes token ids. engine: the Engine that puts them together. batch, batch_parts: the
same by files of requests, at half the price.
"""

from judge.engines.openai.engine import OpenAIEngine

__all__ = ["OpenAIEngine"]
