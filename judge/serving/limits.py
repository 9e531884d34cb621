"""What a server accepts: how large a body, how long a text, how many responses, how long a queue, how slow a client."""

from dataclasses import dataclass, fields

from judge.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a server; what is beyond them is refused with 408, 413, 422 or 429.

    Attributes:
        max_body: bytes of a request's body (413).
        max_length: characters of one text (422).
        max_responses: responses of one request (422).
        max_queue: responses that wait for one model (429 with Retry-After).
        max_connections: open connections (429 with Retry-After).
        batch_tokens: about how many tokens are computed at once; characters are counted, four to a token.
        slow_client: seconds in which a request's head, and then its body, must have come (408).
        drain: seconds for what waits when the server ends.
    """

    max_body: int = 8 * 2**20
    max_length: int = 200_000
    max_responses: int = 1024
    max_queue: int = 8192
    max_connections: int = 900
    batch_tokens: int = 16_384
    slow_client: float = 20.0
    drain: float = 60.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a bound below 1, or a request that no queue could hold."""
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ConfigError(f"{field.name} is {getattr(self, field.name)} (accepted: above 0)")
        if self.max_responses > self.max_queue:
            raise ConfigError(
                f"max_responses is {self.max_responses} and max_queue {self.max_queue}: the queue must hold a request"
            )
