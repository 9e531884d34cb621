"""A judge's server with bad manners, as a process of its own: `bad_server.py PORT MANNERS [SEED]`.

It finds the better response by the word GOOD. Manners: "fair" (always well), "silent" (never answers), "drip" (a byte
each half second, for ever), "wild" (stalls, drips, 404, 500, half answers for a few in a hundred, and goes away for
a second after every thousand requests), "gone" (as wild, but away for two minutes, once).
"""

import asyncio
import json
import random
import sys

AWAY = {"wild": (1000, 1.0, 99), "gone": (2500, 120.0, 1)}
"""manners -> after how many requests it goes away, for how many seconds, and how often."""


def verdict(body: dict) -> str:
    """The reply that a fair judge gives."""
    text = "\n".join(turn["content"] for turn in body["messages"])
    return "[[A]]" if text.find("GOOD") < text.find("BAD") else "[[B]]"


def answer(content: object, status: str = "200 OK") -> bytes:
    """A whole HTTP answer."""
    data = json.dumps(content).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


class Judge:
    """Answers by its manners."""

    def __init__(self, manners: str, seed: int) -> None:
        self._manners = manners
        self._draw = random.Random(seed)
        self._away = asyncio.Event()
        self._requests = 0

    async def serve(self, port: int) -> None:
        """Listen until the process ends; the wild ones close everything now and then."""
        _, seconds, times = AWAY.get(self._manners, (0, 0.0, 0))
        for _ in range(times):
            self._away.clear()
            server = await self._listen(port)
            await self._away.wait()
            server.close()
            await asyncio.sleep(seconds)
        self._away.clear()
        await (await self._listen(port)).serve_forever()

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._talk, "127.0.0.1", port, backlog=256)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self._away.is_set():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r")[0])
                body = json.loads(await reader.readexactly(length))
                if not await self._reply(writer, head.partition(b"\r")[0], body):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, writer: asyncio.StreamWriter, path: bytes, body: dict) -> bool:
        """Answer once; whether the connection stays open."""
        self._requests += 1
        if self._manners in AWAY and self._requests % AWAY[self._manners][0] == 0:
            self._away.set()
            return False
        chance = self._draw.random() if self._manners in AWAY else 1.0
        if b"/v1/" not in path:
            writer.write(answer({"detail": "Not Found"}, "404 Not Found"))
            await writer.drain()
            return True
        good = answer({"choices": [{"message": {"content": verdict(body)}, "finish_reason": "stop"}]})
        if self._manners == "silent" or chance < 0.005:
            await asyncio.sleep(3600)
        elif self._manners == "drip" or chance < 0.01:
            for byte in good[:-1]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
        elif chance < 0.02:
            writer.write(answer({"error": {"message": "model not found"}}, "404 Not Found"))
        elif chance < 0.03:
            writer.write(answer({"detail": "boom"}, "500 Internal Server Error"))
        elif chance < 0.04:
            writer.write(good[: len(good) // 2])
            return False
        elif chance < 0.05:
            writer.write(answer({"choices": []}))
        else:
            writer.write(good)
        await writer.drain()
        return True


if __name__ == "__main__":
    asyncio.run(Judge(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0).serve(int(sys.argv[1])))
