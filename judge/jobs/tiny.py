"""`judge.generate_problems`, `judge.tiny_card`: problems with known truth, and facts about the embedded judge."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from judge.errors import ConfigError, unknown
from judge.files import write_rows
from judge.formats import to_row
from judge.records import Record
from judge.tiny import CARD, facts
from judge.tiny.samples import SAMPLES


def generate_problems(
    kind: str,
    count: int,
    *,
    seed: int = 0,
    out: str | Path | None = None,
    wide: bool = False,
    neat: bool = False,
    various: bool = False,
    force: bool = False,
) -> list[dict[str, Any]]:
    """Arithmetic problems with solutions whose truth is known; the embedded judge has seen none of them.

    Args:
        kind: pairs, solutions or responses.
        count: how many rows.
        seed: every draw follows from it.
        out: a file to write the rows to as well, one a line.
        wide: larger numbers and longer sums than the card promises.
        neat: solutions that write out every operation.
        various: solutions in writing styles that differ widely.
        force: replace a file that is there.

    Returns:
        The rows, with the truth as a human label.

    Raises:
        ConfigError: for options that do not fit each other, and a file that is there already.
    """
    if kind not in SAMPLES:
        raise unknown("kind", kind, SAMPLES)
    if out is not None and Path(out).exists() and not force:
        raise ConfigError(f"{out}: is there already; name another --out, or replace it with --force")
    if neat and various:
        raise ConfigError("--neat is one way of writing, --various are many (accepted: one of them)")
    draw = cast("Callable[..., Iterator[Record]]", SAMPLES[kind])
    rows = [to_row(record) for record in draw(count, seed=seed, wide=wide, neat=neat, various=various)]
    if out is not None:
        write_rows(out, rows)
    return rows


class TinyCard(dict[str, Any]):
    """The facts of the embedded judge by name, and its card as text.

    Attributes:
        text: what it is, what it is for and how well it does, as markdown.
    """

    def __init__(self) -> None:
        super().__init__(facts())
        self.text = CARD.read_text(encoding="utf-8")

    def _repr_markdown_(self) -> str:
        return self.text


def tiny_card() -> TinyCard:
    """What the embedded judge is, what it is for, and how well it does."""
    return TinyCard()
