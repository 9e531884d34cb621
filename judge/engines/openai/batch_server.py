"""OpenAI's files and batches as calls: upload, submit, poll, fetch; each is taken up where a kill left it."""

import asyncio
import logging
import time
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import orjson

from judge.engines.openai.answers import Failure
from judge.engines.openai.batch_parts import OUTPUTS, Part, PartStore
from judge.engines.openai.connection import Call, Connection
from judge.errors import EngineError
from judge.secrets import mask_secrets

METADATA = "rmjudge_part"
ENDED = ("completed", "failed", "expired", "cancelled")
FULL = "token_limit_exceeded"  # as many tokens are enqueued as the account may have: that passes
FAILURES = 3  # batches in a row that the server began to read and gave up
FIRST_PAUSE = 1.0
PAGE = 100
EARLIER_SECONDS = 86_400.0  # a server's clock is not this one's

log = logging.getLogger(__name__)


class BatchServer:
    """Runs parts at one server."""

    def __init__(self, connection: Connection, store: PartStore, *, poll: float) -> None:
        self._connection, self._store, self._poll = connection, store, poll
        self._uploading = asyncio.Lock()  # one file at a time is in memory
        self._shown = connection.address.shown
        self._failed = 0

    async def run(self, part: Part) -> str:
        """Bring a part to its end, from wherever it is; why requests of it may have no answer, "" for no reason known.

        Raises EngineError when the server refuses it or is away for longer than patience lasts.
        """
        while not part.ended:
            if not part.batch_id:
                await self._submit(part)
            batch = await self._wait(part)
            reason = await self._take(part, batch)
            if not part.ended:
                continue
            return reason
        return ""

    async def _submit(self, part: Part) -> None:
        """Submit a part that is not known to be: adopt its batch where the server has one, else upload and create."""
        batch = await self._find(part) if part.creating else None
        if batch is None and not part.file_id:
            part.file_id = await self._upload(part)
            self._store.save(part)
        tries, since = 0, time.monotonic()
        while batch is None:
            part.creating = True
            self._store.save(part)  # before the server knows: from now on the batch is looked for
            answer = await self._connection.call_once(self._creation(part))
            if isinstance(answer, Failure):
                tries += 1
                self._check(answer, tries)
                await self._connection.pause(answer, tries, since)
                batch = await self._find(part)
            else:
                batch = answer
        part.batch_id = _text(batch, "id", "batch")
        self._store.save(part)
        log.warning("%s: batch %s, %d requests", self._shown, part.batch_id, part.requests)

    def _creation(self, part: Part) -> Call:
        body = {
            "input_file_id": part.file_id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {METADATA: part.id},
        }
        return Call("POST", self._connection.address.url("/batches"), orjson.dumps(body))

    def _check(self, failure: Failure, tries: int) -> None:
        if failure.kind == "refused" or (failure.kind in ("misaddressed", "odd") and tries >= 3):
            raise EngineError(f"{self._shown} takes no batch: {failure.reason}")

    async def _find(self, part: Part) -> dict[str, Any] | None:
        """The batch that carries a part's id and did not fail, None where the server has none."""
        address, after = self._connection.address, ""
        while True:
            url = address.url("/batches")
            url += ("&" if "?" in url else "?") + f"limit={PAGE}" + (f"&after={quote(after, safe='')}" if after else "")
            page = self._good(await self._connection.call(Call("GET", url)), "lists no batches")
            listed = page.get("data") if isinstance(page, dict) else None
            batches = [batch for batch in listed if isinstance(batch, dict)] if isinstance(listed, list) else []
            for batch in batches:
                metadata = batch.get("metadata")
                named = isinstance(metadata, dict) and metadata.get(METADATA) == part.id
                if named and batch.get("status") != "failed":
                    return batch
            oldest = min((created for batch in batches if (created := _number(batch, "created_at"))), default=0)
            if not batches or not page.get("has_more") or 0 < oldest < part.prepared - EARLIER_SECONDS:
                return None
            after = _text(batches[-1], "id", "batch")

    async def _upload(self, part: Part) -> str:
        async with self._uploading:
            boundary = uuid4().hex
            head = (
                f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
                f'Content-Disposition: form-data; name="file"; filename="{part.id}.jsonl"\r\n'
                "Content-Type: application/jsonl\r\n\r\n"
            )
            data = head.encode() + self._store.file(part, "input").read_bytes() + f"\r\n--{boundary}--\r\n".encode()
            call = Call(
                "POST", self._connection.address.url("/files"), data, f"multipart/form-data; boundary={boundary}"
            )
            return _text(self._good(await self._connection.call(call), "takes no file"), "id", "file")

    async def _wait(self, part: Part) -> dict[str, Any]:
        """The batch of a part, once it has ended; a batch that the server knows no more counts as expired."""
        pause = min(FIRST_PAUSE, self._poll)
        url = self._connection.address.url(f"/batches/{quote(part.batch_id, safe='')}")
        while True:
            batch = await self._connection.call(Call("GET", url))
            if isinstance(batch, Failure):
                if batch.kind != "misaddressed":
                    raise EngineError(f"{self._shown}: batch {part.batch_id}: {batch.reason}")
                return {"status": "expired"}
            if isinstance(batch, dict) and batch.get("status") in ENDED:
                return batch
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._poll)

    async def _take(self, part: Part, batch: dict[str, Any]) -> str:
        """Fetch what an ended batch has answered; a batch that never began is begun again, three times at most."""
        status, words = str(batch["status"]), _errors(batch)
        if status == "failed" and not batch.get("output_file_id"):
            full = FULL in words
            self._failed += not full
            if self._failed >= FAILURES:
                raise EngineError(f"{self._shown}: batch {part.batch_id} failed: {words or 'without a word'}")
            if part.status != "waiting":
                log.warning("%s: batch %s failed: %s; asking again", self._shown, part.batch_id, words)
            part.batch_id, part.creating, part.status = "", False, "waiting" if full else status
            part.file_id = part.file_id if full else ""
            self._store.save(part)
            await asyncio.sleep(self._poll)
            return ""
        for kind, field in zip(OUTPUTS, ("output_file_id", "error_file_id"), strict=True):
            if file_id := batch.get(field):
                url = self._connection.address.url(f"/files/{quote(str(file_id), safe='')}/content")
                answer = await self._connection.call(Call("GET", url, into=self._store.file(part, kind)))
                if isinstance(answer, Failure) and answer.kind != "misaddressed":
                    raise EngineError(f"{self._shown}: file {file_id} of batch {part.batch_id}: {answer.reason}")
        self._failed = 0
        part.status, part.ended = status, True
        self._store.save(part)
        return words or f"batch {status}"

    def _good(self, answer: Any | Failure, words: str) -> Any:
        if isinstance(answer, Failure):
            raise EngineError(f"{self._shown} {words}: {answer.reason}")
        return answer


def _text(content: Any, name: str, what: str) -> str:
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, str) or not value or not value.isprintable():
        raise EngineError(f"the server names no {name} of a {what}: found {str(value)[:60]!r}")
    return value


def _number(batch: dict[str, Any], name: str) -> float:
    value = batch.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _errors(batch: dict[str, Any]) -> str:
    """What a batch says is wrong with it, in one line."""
    errors = batch.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    words = [f"{entry.get('code')}: {entry.get('message')}" for entry in entries]
    return mask_secrets(" ".join("; ".join(words[:3]).split())[:300])
