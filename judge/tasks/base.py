"""What a task is: a program without I/O, and the options that all tasks share.

A program is a generator that yields a batch of requests and receives their completions in the same order, as often as
it likes, and returns one judgement. A list of strings is enough to test it.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import InitVar, asdict, dataclass
from typing import Any, TypeVar

from judge.engines.base import Completion, Request
from judge.errors import ConfigError, unknown
from judge.records import Rubric

T = TypeVar("T")
Program = Generator[Sequence[Request], list[Completion], T]

RETRY_TEMPERATURE = 0.7
TOURNAMENTS = ("full", "swiss", "knockout")
TURNS = ("last", "all")
MAX_TOOL_RESULT = 8000
"""Characters of a tool's result that a judge is shown, about 2,000 tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to ask, whatever is asked.

    one_order: ask a pair only as it stands; position bias then goes unseen.
    votes: completions for each question, with a seed each; needs a temperature above 0. A prompt whose verdict is one
        restricted token is asked once: its log-probabilities already are the whole distribution.
    temperature, top_p, seed: sampling of free text; 0 is greedy. Every request's own seed follows from `seed`, what is
        asked and the attempt, so the order of work changes nothing.
    retries: further attempts at a reply that cannot be read, at temperature 0.7 or above: greedy would repeat itself.
    judges: how many engines the jury has; each is asked everything.
    soft: after a critique, ask for the exact probability of each label at the place where the verdict stands.
    max_tokens: longest reply; None leaves it to the prompt.
    low, high: the integer scale of `score`. criteria: named qualities, "name" or "name: what it means". rubric: what
        the scores mean. categories: those of `classify`, named likewise. checklist: the criteria that `checklist`
        asks of rows that have no rubric of their own.
    each_step: `steps` asks one call a step, else all steps at once.
    own_reference: the first juror answers the prompt itself, and its answer is the reference of a record that has none.
    reference: show the known answer, where a record has one, to `score` and `outcome`.
    tournament: `ranking` compares pairs and fits Bradley-Terry strengths: "full", every pair; "swiss", in rounds of
        responses that are about as strong; "knockout", the better of a pair goes on. "": one call orders all.
    max_tool_result: a tool's result of more characters is shortened in the middle for the judge; 0 shortens none.
    turns: which turns of a conversation are judged: "last", the last answer alone; "all", every turn of the assistant;
        "": the response as the data has it.
    language: what critiques and other words are written in, such as "German"; "" leaves it to the judge.
    rounds: of a Swiss tournament; 0 stands for ceil(log2 N) + 1.
    pairwise: an earlier name of tournament="full".
    """

    one_order: bool = False
    votes: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    retries: int = 2
    judges: int = 1
    soft: bool = True
    max_tokens: int | None = None
    low: int = 1
    high: int = 5
    criteria: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    rubric: str = ""
    checklist: Rubric = ()
    each_step: bool = True
    reference: bool = True
    own_reference: bool = False
    max_tool_result: int = MAX_TOOL_RESULT
    turns: str = ""
    language: str = ""
    tournament: str = ""
    rounds: int = 0
    pairwise: InitVar[bool] = False

    def __post_init__(self, pairwise: bool) -> None:
        if pairwise and not self.tournament:
            object.__setattr__(self, "tournament", "full")
        if self.tournament and self.tournament not in TOURNAMENTS:
            raise unknown("tournament", self.tournament, TOURNAMENTS)
        if self.turns and self.turns not in TURNS:
            raise unknown("value of turns", self.turns, TURNS)
        if self.max_tool_result < 0:
            raise ConfigError(f"max_tool_result must be 0 (all of it) or more, not {self.max_tool_result}")
        if self.rounds < 0 or (self.rounds and self.tournament != "swiss"):
            raise ConfigError(f"rounds: found {self.rounds} (accepted: 1 and more, of a Swiss tournament)")
        if self.votes < 1 or self.judges < 1 or self.retries < 0:
            raise ConfigError("votes and judges must be at least 1, retries at least 0")
        if self.temperature < 0.0 or not 0.0 < self.top_p <= 1.0:
            raise ConfigError("temperature must be 0 or more, top_p above 0 and at most 1")
        if self.votes > 1 and self.temperature == 0.0:
            raise ConfigError(f"{self.votes} votes at temperature 0 would all be the same; set a temperature, say 0.7")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if self.low >= self.high:
            raise ConfigError(f"the scale's low end {self.low} must be below its high end {self.high}")

    def manifest_entry(self) -> dict[str, Any]:
        """The options as a manifest holds them: as in earlier versions, so that their runs go on.

        A tournament is `pairwise`, and what sets it apart from a full one stands beside it; what earlier versions did
        not have stands there only where it is used.
        """
        entry = asdict(self)
        tournament, rounds = entry.pop("tournament"), entry.pop("rounds")
        entry["pairwise"] = bool(tournament)
        for name in ("checklist", "categories", "own_reference", "turns", "language"):
            if not entry[name]:
                del entry[name]
        if self.max_tool_result == MAX_TOOL_RESULT:
            del entry["max_tool_result"]
        return entry if tournament in ("", "full") else entry | {"tournament": tournament, "rounds": rounds}


def play(program: Program[T], answer: Callable[[Request], Completion]) -> T:
    """Run one program against a function that answers a request at once: for tests and notebooks."""
    try:
        requests = next(program)
        while True:
            requests = program.send([answer(request) for request in requests])
    except StopIteration as stop:
        result: T = stop.value
        return result
