"""Serve a reward model, and ask it for rewards as OpenRLHF does.

    python examples/served_reward.py MODEL      # a reward model's directory, as `rmjudge distill` makes it

A training of OpenRLHF names the address instead: `--reward.remote_url http://127.0.0.1:8000/get_reward`
(`--remote_rm_url` in older versions).
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

PROMPT = "<|im_start|>user\n2 + 3 * 4 =<|im_end|>\n<|im_start|>assistant\n"
ANSWERS = ["3 * 4 = 12. 2 + 12 = 14. So the answer is 14.<|im_end|>", "5 * 4 = 20. So the answer is 20.<|im_end|>"]


def main(model: str) -> None:
    """Start the server, ask once, end it."""
    command = [str(Path(sys.executable).with_name("rmjudge")), "serve", model, "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        line = server.stderr.readline()
        if not line.startswith("{"):
            raise SystemExit(line)
        address = f"http://127.0.0.1:{json.loads(line)['port']}/get_reward"
        body = {"query": [PROMPT + answer for answer in ANSWERS], "prompts": [PROMPT] * 2, "labels": ["14", "14"]}
        print(json.dumps(ask(address, body), indent=2))
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate()
    print(f"the server ended with exit code {server.returncode}")


def ask(address: str, body: dict[str, Any]) -> Any:
    """POST a body, as openrlhf/utils/remote_rm_utils.py does."""
    request = Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=180) as response:
        return json.load(response)


if __name__ == "__main__":
    main(sys.argv[1])
