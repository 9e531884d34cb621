"""A server of OpenAI's files and batches in this process, over a real socket; what goes wrong is for a test to decide.

Shapes: https://platform.openai.com/docs/api-reference/batch. An account is billed for each answered line of a batch.
"""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.engines.openai_server import answer

Line = dict[str, Any]


def judged(body: dict[str, Any]) -> dict[str, Any]:
    """The better of two responses by the word GOOD: 9 prompt tokens (4 cached) and 2 written ones."""
    text = "\n".join(turn["content"] for turn in body["messages"])
    return answer("[[A]]" if text.find("GOOD") < text.find("BAD") else "[[B]]")


class BatchApi(ThreadingHTTPServer):
    """Answers batches, oldest first, each `seconds` after it was made."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seconds = 0.0
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()
        self.billed: Counter[str] = Counter()  # custom id -> how often it was answered
        self.chats: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.page = 100
        self.has_batches = True
        self.reply: Callable[[dict[str, Any]], dict[str, Any]] = judged
        # custom id, number of its batch -> a status and an answer, or None for a line that is never answered
        self.line: Callable[[dict[str, Any], int], tuple[int, Any] | None] = lambda body, number: (
            200,
            self.reply(body),
        )
        self.fate: Callable[[int], str] = lambda number: "completed"  # number of the batch -> how it ends
        self.cut: Callable[[str, str], bool] = lambda method, path: False  # whether a call's answer never arrives

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def upload(self, data: bytes) -> dict[str, Any]:
        """Take a form with a file; only its content is kept."""
        match = re.search(rb'filename="[^"]*"\r\n[^\r]*\r\n\r\n(.*)\r\n--[0-9a-f]+--\r\n\Z', data, re.DOTALL)
        assert match is not None
        assert b'name="purpose"\r\n\r\nbatch\r\n' in data
        with self.lock:
            name = f"file-{len(self.files)}"
            self.files[name] = match[1]
        return {"id": name, "object": "file", "bytes": len(match[1]), "purpose": "batch"}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["endpoint"], body["completion_window"]) == ("/v1/chat/completions", "24h")
        with self.lock:
            number = len(self.batches)
            batch = {
                "id": f"batch_{number}",
                "object": "batch",
                "input_file_id": body["input_file_id"],
                "status": "in_progress",
                "errors": None,
                "output_file_id": None,
                "error_file_id": None,
                "created_at": int(time.time()),
                "metadata": body["metadata"],
                "made": time.monotonic(),
            }
            self.batches[batch["id"]] = batch
        return batch

    def look(self, name: str) -> dict[str, Any]:
        """A batch, brought to its end once its time has come."""
        with self.lock:
            batch = self.batches[name]
            if batch["status"] == "in_progress" and time.monotonic() - batch["made"] >= self.seconds:
                self._finish(batch)
            return dict(batch)

    def _finish(self, batch: dict[str, Any]) -> None:
        number = int(batch["id"].split("_")[1])
        batch["status"] = self.fate(number).partition(":")[0]
        if batch["status"] == "failed":
            code = self.fate(number).partition(":")[2]
            batch["errors"] = {"object": "list", "data": [{"code": code, "message": "no", "line": None}]}
            return
        good: list[Line] = []
        bad: list[Line] = []
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        for index, line in enumerate(reversed(lines)):  # in another order than asked
            assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
            outcome = self.line(line["body"], number)
            if batch["status"] == "expired" and index % 2:
                outcome = None
            entry = {"id": f"batch_req_{index}", "custom_id": line["custom_id"], "response": None, "error": None}
            if outcome is None:
                bad.append(
                    entry | {"error": {"code": "batch_expired", "message": "This request could not be executed"}}
                )
                continue
            status, body = outcome
            entry["response"] = {"status_code": status, "request_id": "r", "body": body}
            (good if status == 200 else bad).append(entry)
            self.billed[line["custom_id"]] += status == 200
        for field, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[field] = f"file-{len(self.files)}"
                self.files[batch[field]] = "".join(json.dumps(row) + "\n" for row in rows).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BatchApi

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.has_batches and not self.path.endswith("/chat/completions"):
            self._answer(404, {"error": {"message": "Not Found"}})
        elif self.path == "/v1/files":
            self._answer(200, self.server.upload(data))
        elif self.path == "/v1/batches":
            self._answer(200, self.server.create(json.loads(data)))
        else:
            self.server.chats.append(json.loads(data))
            self._answer(200, self.server.reply(self.server.chats[-1]))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        names = parts.path.split("/")[2:]
        if names == ["batches"]:
            self._answer(200, self._page(parse_qs(parts.query)))
        elif names[0] == "batches" and names[1] in self.server.batches:
            self._answer(200, self.server.look(names[1]))
        elif names[0] == "files" and names[2:] == ["content"] and names[1] in self.server.files:
            self._answer(200, self.server.files[names[1]])
        else:
            self._answer(404, {"error": {"message": f"No such thing: {self.path}"}})

    def _page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """Batches, newest first."""
        names = sorted(self.server.batches, key=lambda name: -int(name.split("_")[1]))
        start = names.index(query["after"][0]) + 1 if "after" in query else 0
        page = names[start : start + min(int(query["limit"][0]), self.server.page)]
        more = start + len(page) < len(names)
        return {"object": "list", "data": [self.server.look(name) for name in page], "has_more": more}

    def _answer(self, status: int, content: Any) -> None:
        self.server.calls.append(f"{self.command} {self.path}")
        if self.server.cut(self.command, self.path):
            self.close_connection = True
            return
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass
