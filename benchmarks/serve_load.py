"""`rmjudge serve` under load: many clients, hostile ones, a switch of versions, a SIGTERM. Every score is checked.

    OMP_NUM_THREADS=1 python benchmarks/serve_load.py [--seconds 60] [--clients 200] [--backbone tiny] [--models A B]

Two ensembles are distilled from problems of the embedded judge's field (or named by --models), and their rewards of all
rows computed offline, before the load and after it, in a process of their own. Then the server runs, its cache off, and
each client sends one response a request, the rows in their order. A score is wrong when it is further than 1e-4 from
the offline one of the version that the answer names; a request is lost when it has no answer. Throughput is compared by
the clock and, since other work may hold the machine, by the processor time that a response costs in either process.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

import judge

KEY, ADMIN = "a-key-of-the-benchmark", "an-admin-key-of-the-benchmark"
TOLERANCE = 1e-4
REFUSALS = {401, 404, 408, 413, 422, 429}


@dataclass
class Tally:
    """What came of the requests of a phase."""

    name: str
    statuses: Counter[int] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    lost: list[str] = field(default_factory=list)
    refused_connections: int = 0
    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def show(self) -> str:
        server_errors = sum(count for status, count in self.statuses.items() if status >= 500)
        parts = [
            f"{self.name}: {self.statuses[200]} answered in {self.wall:.1f} s",
            f"statuses {dict(sorted(self.statuses.items()))}",
            f"wrong {self.wrong}, lost {len(self.lost)}, 5xx {server_errors}",
            f"p50 {self.quantile(0.5):.3f} s, p99 {self.quantile(0.99):.3f} s",
        ]
        if len(self.versions) > 1:
            parts.append(f"versions {sorted(self.versions.values())}")
        if self.refused_connections:
            parts.append(f"connections refused after the end {self.refused_connections}")
        return "; ".join(parts) + "".join(f"\n    lost: {reason}" for reason in self.lost[:5])


class Load:
    """Clients of one server. offline: by version, the reward of each row."""

    def __init__(self, url: str, rows: Sequence[tuple[str, str]], offline: dict[str, list[float]]) -> None:
        self.url, self.rows, self.offline = url, rows, offline
        self.stopping = False
        self._places = itertools.count()

    async def run(self, name: str, clients: int, seconds: float) -> Tally:
        """So many clients, each asking again as soon as it has its answer."""
        tally, started = Tally(name), time.monotonic()
        async with self.session() as session:
            await asyncio.gather(*(self.client(session, tally, started + seconds) for _ in range(clients)))
        tally.wall = time.monotonic() - started
        return tally

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(limit=0),
            headers={"authorization": f"Bearer {KEY}"},
            timeout=aiohttp.ClientTimeout(total=600),
        )

    async def client(self, session: aiohttp.ClientSession, tally: Tally, until: float) -> None:
        while time.monotonic() < until and not self.stopping:
            await self.ask(session, tally, next(self._places) % len(self.rows))

    async def ask(self, session: aiohttp.ClientSession, tally: Tally, place: int) -> None:
        prompt, response = self.rows[place]
        started = time.monotonic()
        try:
            async with session.post("/score", json={"prompt": prompt, "response": response}) as answer:
                content = await answer.json()
        except aiohttp.ClientConnectorError:
            if self.stopping:
                tally.refused_connections += 1  # never sent: the server takes no connections any more
            else:
                tally.lost.append("connection refused")
            return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            tally.lost.append(f"{type(error).__name__}: {error}")
            return
        tally.seconds.append(time.monotonic() - started)
        tally.statuses[answer.status] += 1
        if answer.status == 200:
            tally.versions[content["version"]] += 1
            expected = self.offline[content["version"]][place]
            tally.wrong += abs(content["rewards"][0]["value"] - expected) > TOLERANCE


async def hostile(load: Load, port: int, seconds: float) -> Tally:
    """Clients that drip, stall, send too much, send nonsense or have no key, until the time is up."""
    tally, until = Tally("hostile clients"), time.monotonic() + seconds
    started = time.monotonic()
    bodies: list[tuple[dict[str, str], bytes]] = [
        ({}, b'{"prompt": "1'),
        ({}, b"\xff\xfe"),
        ({}, b'{"prompt": 1, "response": []}'),
        ({}, b'{"prompt": "a"}'),
        ({}, b'{"prompt": "a", "response": "b", "model": "nobody"}'),
        ({}, b"[" * 100_000),
        ({}, json.dumps({"prompt": "a", "responses": ["b"] * 5000}).encode()),
        ({}, json.dumps({"prompt": "a", "response": "b" * 300_000}).encode()),
        ({}, b'{"prompt": "' + b"a" * (9 * 2**20) + b'", "response": "b"}'),
        ({"authorization": "Bearer wrong-key-of-somebody"}, b'{"prompt": "a", "response": "b"}'),
        ({"authorization": ""}, b'{"prompt": "a", "response": "b"}'),
    ]

    async def send(number: int) -> None:
        async with load.session() as session:
            while time.monotonic() < until:
                headers, body = bodies[number % len(bodies)]
                number += 1
                try:
                    async with session.post("/score", data=body, headers=headers) as answer:
                        await answer.read()
                        tally.statuses[answer.status] += 1
                        await asyncio.sleep(0.1)
                except (aiohttp.ClientError, OSError) as error:
                    tally.lost.append(f"{type(error).__name__}: {error}")

    async def drip(head: bytes, tail: bytes) -> None:
        """A byte a second, for ever: the server ends it."""
        while time.monotonic() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            answer = asyncio.create_task(reader.read(12))
            while not answer.done() and not writer.is_closing():
                writer.write(tail)
                await asyncio.sleep(1)
            line = await answer
            tally.statuses[int(line.split()[1])] += 1
            writer.close()

    request = f"POST /score HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n".encode()
    chunked = request + b"transfer-encoding: chunked\r\n\r\n"
    drips = [(request + b"content-length: 10000\r\n\r\n", b" "), (chunked, b"1\r\n \r\n"), (request, b"x")]
    await asyncio.gather(*(send(number) for number in range(11)), *(drip(*drips[n % 3]) for n in range(30)))
    tally.wall = time.monotonic() - started
    return tally


async def switches(load: Load, sources: Sequence[str], seconds: float) -> None:
    """The other version loaded and taken into use, then rolled back, again and again."""
    until = time.monotonic() + seconds
    async with aiohttp.ClientSession(load.url, headers={"x-api-key": ADMIN}) as session:
        async with session.post("/admin/load", json={"source": sources[1], "wait": True}) as answer:
            assert answer.status == 200, await answer.text()
        while time.monotonic() < until:
            await asyncio.sleep(seconds / 8)
            async with session.post("/admin/rollback", json={}) as answer:
                assert answer.status == 200, await answer.text()


async def full_queue(load: Load) -> Tally:
    """More at once than may wait: what does not fit is told to come again, and then is scored."""
    tally, started = Tally("full queue"), time.monotonic()
    texts = [f"{place}" for place in range(256)]

    async def send(session: aiohttp.ClientSession, number: int) -> None:
        for _ in range(200):
            body = {"prompt": f"{number} =", "responses": texts}
            async with session.post("/score", json=body) as answer:
                tally.statuses[answer.status] += 1
                content = await answer.json()
                if answer.status == 200:
                    tally.wrong += len(content["rewards"]) != len(texts)
                    return
                await asyncio.sleep(int(answer.headers["retry-after"]) if answer.status == 429 else 1)
        tally.lost.append("refused 200 times")

    async with load.session() as session:
        await asyncio.gather(*(send(session, number) for number in range(8)))
    tally.wall = time.monotonic() - started
    return tally


async def ended(load: Load, process: subprocess.Popen[str], clients: int) -> tuple[Tally, int, float]:
    """SIGTERM while every client waits for an answer."""
    running = asyncio.create_task(load.run("SIGTERM", clients, 600))
    await asyncio.sleep(8)
    load.stopping = True
    signalled = time.monotonic()
    process.send_signal(signal.SIGTERM)
    tally = await running
    code = await asyncio.to_thread(process.wait, 120)
    return tally, code, time.monotonic() - signalled


def offline(model: str, data: Path) -> dict[str, Any]:
    """Rewards of all rows in a process of their own, with its seconds and processor seconds."""
    done = subprocess.run(
        [sys.executable, __file__, "--offline", model, "--rows-file", str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    scored: dict[str, Any] = json.loads(done.stdout)
    return scored


def score_offline(directory: str, data: Path) -> None:
    """What that process does."""
    model = judge.load_reward_model(directory)
    rows = [tuple(row) for row in json.loads(data.read_text())]
    model.score_batch(rows[:4])
    wall, cpu = time.perf_counter(), time.process_time()
    rewards = [reward.value for scored in model.score_batch(rows) for reward in scored]
    figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({"version": model.version, "rewards": rewards, **figures}))


def start(model: str, log: Path) -> tuple[subprocess.Popen[str], int]:
    """The server as a user starts it, and its port."""
    command = [str(Path(sys.executable).with_name("rmjudge")), "serve", f"rewards={model}", "--port", "0"]
    command += ["--cache-size", "0", "--slow-client", "5", "--max-queue", "1024"]
    environment = {**os.environ, "RMJUDGE_API_KEY": KEY, "RMJUDGE_ADMIN_KEY": ADMIN}
    with log.open("w") as stream:
        process = subprocess.Popen(command, stderr=stream, text=True, env=environment)
    while True:
        for line in log.read_text().splitlines():
            if '"event":"serving"' in line:
                return process, json.loads(line)["port"]
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.2)


def processor_seconds(process: subprocess.Popen[str]) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rows_of(count: int) -> list[tuple[str, str]]:
    """(prompt, response) of the embedded judge's field, two responses to each prompt."""
    pairs = judge.generate_problems("pairs", (count + 1) // 2, seed=11)
    texts = [(row["prompt"], row[side]) for row in pairs for side in ("first", "second")]
    return [(spoken(prompt), spoken(response)) for prompt, response in texts][:count]


def spoken(text: Any) -> str:
    return text if isinstance(text, str) else "\n".join(turn["content"] for turn in text)


def distilled(folder: Path, backbone: str) -> list[str]:
    """Two small ensembles on one backbone."""
    pairs = judge.generate_problems("pairs", 60, seed=3)
    out = [str(folder / name) for name in ("first", "second")]
    for seed, path in enumerate(out):
        judge.distill(
            pairs,
            kind="ensemble",
            labels="human",
            backbone=backbone,
            out=path,
            seed=seed,
            max_length=512,
            progress=False,
        )
    return out


def main() -> None:
    """Read the options, measure, print the figures; exit code 1 where anything was wrong or lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--models", nargs=2, help="two reward models of one backbone instead of distilled ones")
    parser.add_argument("--steady-only", action="store_true", help="leave out hostile clients, switches and the rest")
    parser.add_argument("--offline", help=argparse.SUPPRESS)
    parser.add_argument("--rows-file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.offline:
        score_offline(options.offline, options.rows_file)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = options.models or distilled(folder, options.backbone)
        tallies = measure(models, folder, options)
    bad = sum(tally.wrong + len(tally.lost) + sum(map(_is_failure, tally.statuses.elements())) for tally in tallies)
    sys.exit(1 if bad else 0)


def _is_failure(status: int) -> bool:
    return status != 200 and status not in REFUSALS


def measure(models: Sequence[str], folder: Path, options: argparse.Namespace) -> list[Tally]:
    """All phases, each with its line."""
    data = folder / "rows.json"
    rows = rows_of(options.rows)
    data.write_text(json.dumps(rows))
    before, other = offline(models[0], data), offline(models[1], data)
    process, port = start(models[0], folder / "server.log")
    try:
        load = Load(
            f"http://127.0.0.1:{port}",
            rows,
            {before["version"]: before["rewards"], other["version"]: other["rewards"]},
        )
        cpu = processor_seconds(process)
        tallies = [asyncio.run(load.run("steady", options.clients, options.seconds))]
        cpu = processor_seconds(process) - cpu
        print(tallies[0].show(), flush=True)
        compare(before, offline(models[0], data), tallies[0], cpu, len(rows))
        if not options.steady_only:
            for phase in phases(load, process, port, models, options):
                tallies.append(phase)
                print(phase.show(), flush=True)
    finally:
        process.kill()
        process.wait()
    return tallies


def phases(load: Load, process: subprocess.Popen[str], port: int, models: Sequence[str], options: Any) -> Any:
    """The other phases, one after another."""

    async def beside(other: Any) -> list[Any]:
        return await asyncio.gather(load.run("good clients beside", 50, options.seconds / 3), other)

    yield from asyncio.run(beside(hostile(load, port, options.seconds / 3)))
    good, _ = asyncio.run(beside(switches(load, models, options.seconds / 3)))
    good.name = "version switched under load"
    yield good
    yield asyncio.run(full_queue(load))
    tally, code, seconds = asyncio.run(ended(load, process, options.clients))
    tally.name = f"SIGTERM under load (exit code {code}, {seconds:.1f} s)"
    if code:
        tally.lost.append(f"exit code {code}")
    yield tally


def compare(before: dict[str, Any], after: dict[str, Any], tally: Tally, cpu: float, count: int) -> None:
    """Served against offline throughput."""
    wall = median([before["wall"], after["wall"]]) / count
    processor = median([before["cpu"], after["cpu"]]) / count
    served = tally.statuses[200]
    print(
        f"offline {1 / wall:.1f} responses/s, {1000 * processor:.2f} ms of the processor each; served "
        f"{served / tally.wall:.1f} responses/s, {1000 * cpu / served:.2f} ms each: ratio "
        f"{served / tally.wall * wall:.3f} by the clock, {processor * served / cpu:.3f} by the processor",
        flush=True,
    )


if __name__ == "__main__":
    main()
