"""A server that fails in every way, as a process: `faulty_server.py PORT SHARE DOWN_AFTER DOWN_SECONDS [UPSTREAM]`.

A share of the requests, drawn by a seed, meets one of `FAULTS`; after so many requests the server is down for a while,
once. It finds the better response by the word GOOD, or asks a real server at the port UPSTREAM; a request with the word
CURSED fails in the same way each time. `GET /faults` says how many requests there were, and how many met which fault.
"""

import asyncio
import json
import random
import sys
from collections import Counter

from bad_server import answer, verdict

FAULTS = ("429", "500", "cut", "stall", "garbage", "half", "torn", "drip")
STALL_SECONDS = 3600.0
DRIP_SECONDS = 0.05


class FaultyJudge:
    """Counts what it does."""

    def __init__(self, share: float, down_after: int, down_seconds: float, upstream: int = 0) -> None:
        self._upstream = upstream
        self._share, self._down_after, self._down_seconds = share, down_after, down_seconds
        self._draw = random.Random(0)
        self._down = asyncio.Event()
        self._seen: Counter[str] = Counter()

    async def serve(self, port: int) -> None:
        """Listen, be down once, and listen again."""
        for _ in range(1 if self._down_seconds else 0):
            server = await asyncio.start_server(self._talk, "127.0.0.1", port, backlog=256)
            await self._down.wait()
            server.close()
            await asyncio.sleep(self._down_seconds)
        self._down.clear()
        server = await asyncio.start_server(self._talk, "127.0.0.1", port, backlog=256)
        await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self._down.is_set():
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /faults"):
                    writer.write(answer(self._seen))
                    break
                length = int(head.lower().split(b"content-length:")[1].split(b"\r")[0])
                body = json.loads(await reader.readexactly(length))
                path = head.split()[1].decode()
                if not self._upstream and not path.startswith("/v1/chat"):
                    writer.write(answer({"detail": "Not Found"}, "404 Not Found"))
                elif not await self._reply(writer, path, body):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, writer: asyncio.StreamWriter, path: str, body: dict) -> bool:
        """Answer once, well or not; whether the connection stays open."""
        self._seen["requests"] += 1
        if self._down_seconds and self._seen["requests"] == self._down_after:
            self._down.set()
            return False
        chance = self._draw.random()
        fault = FAULTS[int(chance / self._share * len(FAULTS))] if chance < self._share else ""
        text = str(body.get("messages", ""))
        fault = text.partition("CURSED ")[2].partition(".")[0] or fault
        self._seen[fault or "good"] += 1
        if self._upstream:
            return await self._fail(writer, fault, await self._forward(path, body))
        content = {"choices": [{"message": {"content": verdict(body)}, "finish_reason": "stop"}]}
        return await self._fail(writer, fault, answer(content))

    async def _forward(self, path: str, body: dict) -> bytes:
        """The whole answer of the real server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: upstream\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        given = await reader.read()
        writer.close()
        status = given.split(b" ", 1)[1].partition(b"\r")[0].decode()
        return answer(json.loads(given.partition(b"\r\n\r\n")[2]), status)

    async def _fail(self, writer: asyncio.StreamWriter, fault: str, good: bytes) -> bool:
        match fault:
            case "":
                writer.write(good)
            case "429":
                limit = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0.05\r\nContent-Length: 2\r\n\r\n{}"
                writer.write(limit)
            case "500":
                writer.write(answer({"error": {"message": "boom"}}, "500 Internal Server Error"))
            case "cut":
                return False
            case "stall":
                await asyncio.sleep(STALL_SECONDS)
            case "garbage":
                writer.write(bytes(self._draw.randrange(256) for _ in range(200)))
                return False
            case "half":
                data = good.partition(b"\r\n\r\n")[2]
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data) // 2, data[: len(data) // 2])
                )
            case "torn":
                writer.write(good[:-7])
                return False
            case "drip":
                for byte in good:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(DRIP_SECONDS)
            case _:
                raise ValueError(fault)
        return True


if __name__ == "__main__":
    port, share, down_after, down_seconds, *upstream = sys.argv[1:]
    judge = FaultyJudge(float(share), int(down_after), float(down_seconds), *map(int, upstream))
    asyncio.run(judge.serve(int(port)))
