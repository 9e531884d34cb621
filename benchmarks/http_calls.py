"""What a call to a server costs this process: calls a second of CPU, the engine alone and a whole `label` run.

    python benchmarks/http_calls.py [--calls 20000] [--concurrency 64]

The server is a process of its own that answers at once; prompts have about 3,000 characters. Prints JSON.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import judge as rmjudge
from judge.engines import Request, load_engine
from judge.records import Message

REPLY = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "[[A]]"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 700, "completion_tokens": 5},
}
SENTENCE = "The air scatters blue light far more than red, so blue comes from all sides of the sky. "


class _AtOnce(asyncio.Protocol):
    """Answers every request with the same reply."""

    def connection_made(self, transport: Any) -> None:
        body = json.dumps(REPLY).encode()
        self._transport, self._data = transport, b""
        self._answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._transport.write(self._answer)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_AtOnce, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def server() -> Iterator[str]:
    """The address of a server in another process."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def measured(calls: int, seconds: float, cpu: float) -> dict[str, float]:
    """Calls a second, of the clock and of this process's CPU."""
    return {
        "calls_per_second": round(calls / seconds),
        "calls_per_cpu_second": round(calls / cpu),
        "cpu_ms_per_call": round(1000 * cpu / calls, 3),
    }


def engine_alone(url: str, calls: int, concurrency: int) -> dict[str, float]:
    """Requests handed to the engine, as many at once as its window holds."""
    engine = load_engine(f"openai:{url}#m", server="plain", concurrency=concurrency)
    text = SENTENCE * 35
    submitted = finished = 0
    started = busy = 0.0
    for warm_up in (True, False):
        submitted, finished, started, busy = 0, 0, time.monotonic(), time.process_time()
        total = 200 if warm_up else calls
        while finished < total:
            while submitted < total and submitted - finished < 1024:
                request = Request(
                    messages=(Message("system", "You are a judge."), Message("user", f"{submitted} {text}"))
                )
                engine.submit(submitted, request)
                submitted += 1
            finished += len(engine.step())
    figures = measured(calls, time.monotonic() - started, time.process_time() - busy)
    engine.close()
    return figures


def whole_run(url: str, calls: int, concurrency: int) -> dict[str, float]:
    """`label` with a pair's two orders: data read, prompts rendered, replies read, rows written."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pairs.jsonl"
        with data.open("w") as file:
            for number in range(calls // 2):
                row = {"prompt": f"Why is the sky blue? {number}", "chosen": SENTENCE * 8, "rejected": SENTENCE * 7}
                file.write(json.dumps(row) + "\n")
        started, busy = time.monotonic(), time.process_time()
        run = rmjudge.label(
            data,
            task="preference",
            judges=f"openai:{url}#m",
            out=Path(folder) / "run",
            settings={"server": "plain", "concurrency": concurrency},
            progress=False,
        )
        seconds, cpu = time.monotonic() - started, time.process_time() - busy
        return measured(run.counts.calls, seconds, cpu)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(_serve())
        return
    with server() as url:
        figures = {
            "engine": engine_alone(url, asked.calls, asked.concurrency),
            "label": whole_run(url, asked.calls, asked.concurrency),
        }
    print(json.dumps({"benchmark": "http_calls", "calls": asked.calls, **figures}, indent=2))


if __name__ == "__main__":
    main()
