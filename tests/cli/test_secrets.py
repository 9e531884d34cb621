"""Keys and passwords, given in thirteen ways, stand in no output and in no file."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from judge.cli.main import main
from judge.errors import EngineError
from judge.secrets import mask_secrets, masked

SECRET = "plugh4711xyzzy"


class Echo(BaseHTTPRequestHandler):
    """Refuses every request and repeats what it was sent, keys included."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        words = f"no such key: {self.headers.get('Authorization', '')} at {self.path}"
        data = json.dumps({"error": {"message": words}}).encode()
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Location", f"http://me:{SECRET}@elsewhere/v1?token={SECRET}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(params=[400, 401, 302])
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.status = request.param  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


SPECS = {
    "password": "openai:http://me:{secret}@{host}/v1#m",
    "password with signs": "openai:http://me:{secret}#a/b?c@{host}/v1#m",
    "token as user": "openai:http://{secret}@{host}/v1#m",
    "api_key": "openai:http://{host}/v1?api_key={secret}#m",
    "key": "openai:http://{host}/v1?key={secret}#m",
    "second parameter": "openai:http://{host}/v1?api-version=2&subscription-key={secret}#m",
    "access_token": "openai:http://{host}/v1?access_token={secret}#m",
    "environment": "openai:http://{host}/v1#m",
    "no model": "openai:http://me:{secret}@{host}/v1",
    "no engine": "openia:http://me:{secret}@{host}/v1#m",
    "port": "openai:http://me:{secret}@127.0.0.1:port/v1#m",
    "scheme": "openai:https://me:{secret}@{host}/v1#m",
    "setting": "openai:http://{host}/v1#m",
}


@pytest.mark.parametrize("name", SPECS)
def test_no_secret_is_written_or_shown(
    name: str, host: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"sk-{SECRET}" if name == "environment" else "")
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "p", "chosen": "good", "rejected": "bad"}\n')
    spec = SPECS[name].format(secret=SECRET, host=host)
    more = ["--set", f"api_key={SECRET}"] if name == "setting" else ["--patience", "1s"]
    common = ["--judge", spec, "--out", str(tmp_path / "run"), "--quiet", *more]
    code = main(["label", str(data), "--task", "preference", *common])
    code = code and main(["revise", str(data), *common[:2], *common[2:]])
    output = "".join(capfd.readouterr())
    assert code == 2
    assert "rmjudge: " in output
    texts = [output, *(path.read_text() for path in (tmp_path / "run").rglob("*") if path.is_file())]
    assert all(SECRET not in text for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://me:pa#ss@h:1/v1#m", "http://***@h:1/v1#m"),
        ("http://me:w/o?rd@h/v1", "http://***@h/v1"),
        ("https://h/v1?x=1&api_key=abc&y=2#m", "https://h/v1?x=1&api_key=***&y=2#m"),
        ("sftp://me:pass@h/a.jsonl", "sftp://***@h/a.jsonl"),
        (
            "https://h/a?X-Amz-Credential=abc&X-Amz-Signature=def",
            "https://h/a?X-Amz-Credential=***&X-Amz-Signature=***",
        ),
        ("Incorrect API key provided: sk-proj-abcdef12.", "Incorrect API key provided: ***."),
        ("Authorization: Bearer abc.def-gh1", "Authorization: Bearer ***"),
        ('{"api_key": "x1"}', '{"api_key": "***"}'),
        # what is no secret stays
        ("http://h:8000/v1#@cf/llama", "http://h:8000/v1#@cf/llama"),
        ("environment variable OPENAI_API_KEY: set it", "environment variable OPENAI_API_KEY: set it"),
        ("Missing bearer or basic authentication in header", "Missing bearer or basic authentication in header"),
        ("abfs://container@account.host/a, s3://bucket/a@b:c", "abfs://container@account.host/a, s3://bucket/a@b:c"),
        ("hf-internal-testing/tiny-random, risk-averse-people", "hf-internal-testing/tiny-random, risk-averse-people"),
        ("hf://datasets/a/b@main, max_tokens=5", "hf://datasets/a/b@main, max_tokens=5"),
    ],
)
def test_masking(text: str, expected: str) -> None:
    assert mask_secrets(text) == expected
    assert masked({"a": [text, 1, None]}) == {"a": [expected, 1, None]}
    assert str(EngineError(text)) == expected
