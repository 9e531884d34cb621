"""A server of the OpenAI protocol in this process, whose answers a test decides."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any

from judge.engines.openai.engine import PROBE


class Server(ThreadingHTTPServer):
    """Answers every question by `reply(body)`, a status and JSON or bytes, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}
        self.continues = True
        self.probed = True  # whether the probe for a begun reply has an answer of its own
        self.reply: Callable[[dict[str, Any]], tuple[int, Any]] = lambda body: (200, answer("fine"))
        self.probabilities: dict[str, float] = {}  # text that a reply ends with -> probability of its last letter

    def listed(self, body: dict[str, Any]) -> dict[str, Any]:
        """An answer of vLLM's /v1/completions to a prompt of token ids: here a token is a letter."""
        self.asked.append(body)
        begun = "".join(map(chr, body["prompt"])).rpartition("|")[2]
        top = {f"token_id:{t}": log(self.probabilities[begun + chr(t)]) for t in body["logprob_token_ids"]}
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 1}
        return {
            "choices": [{"text": "x", "logprobs": {"top_logprobs": [top | {"token_id:7": -9999.0}]}}],
            "usage": usage,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization", ""))
        self.server.paths.append(self.path)
        path = self.path.split("?")[0]
        if self.server.probabilities and path in ("/tokenize", "/v1/completions"):
            status, content = 200, tokens_of(body) if path == "/tokenize" else self.server.listed(body)
        elif not path.endswith("/chat/completions"):
            status, content = 404, {"detail": "Not Found"}
        elif self.server.probed and body["messages"][-1] == {"role": "assistant", "content": PROBE.prefill}:
            status, content = 200, answer("ve, six" if self.server.continues else "One, two")
        else:
            self.server.asked.append(body)
            status, content = self.server.reply(body)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def tokens_of(body: dict[str, Any]) -> dict[str, Any]:
    """An answer of vLLM's /tokenize, a token for each letter."""
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    return {"tokens": [ord(letter) for letter in "|".join(turn["content"] for turn in body["messages"])]}


def answer(text: Any, top: dict[str, float] | None = None, **message: Any) -> dict[str, Any]:
    choice: dict[str, Any] = {"message": {"content": text, **message}, "finish_reason": "stop"}
    if top is not None:
        listed = [{"token": token, "logprob": log(p)} for token, p in top.items()]
        choice["logprobs"] = {"content": [{"token": text, "top_logprobs": listed}]}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    return {"choices": [choice], "usage": usage}
