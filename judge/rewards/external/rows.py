"""Records as rows of tokens through any engine, each text by itself: what classifiers and vLLM share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from judge.records import Conversation, Record, responses_of
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.tokenize import ExampleTokenizer
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.external.pairs import Row
from judge.rewards.inference.judgements import RawReward, Rule, Uncalibrated, judged, task_of, unreadable
from judge.rewards.inference.scoring import Scored

Writer = Callable[[Conversation, Conversation], Row | str]
"""(prompt, response) to tokens, or why there are none."""


class RowReader(ABC):
    """Scores records, a row of tokens a response.

    Attributes:
        config: of the model, in our own terms.
        write: how prompt and response become tokens.
        calibration: None for the plain probabilities.
    """

    config: RewardConfig
    write: Writer
    calibration: Calibration | None

    @abstractmethod
    def values(self, rows: Sequence[Row], batch_tokens: int) -> dict[int, list[float]]:
        """The outputs of each row, by its identity."""

    def score(self, records: Iterable[Record], *, rule: Rule, batch_tokens: int, window: int) -> Iterator[list[Scored]]:
        """Judgements of all records in their order, as `scoring.score` gives them."""
        stream = iter(records)
        while part := list(islice(stream, window)):
            written = [self._rows(record) for record in part]
            rows = [row for of_record in written if not isinstance(of_record, str) for row in of_record]
            values = self.values(rows, batch_tokens)
            yield [
                self._scored(record, of_record, values, rule) for record, of_record in zip(part, written, strict=True)
            ]

    def _scored(self, record: Record, rows: "list[Row] | str", values: dict[int, list[float]], rule: Rule) -> Scored:
        if isinstance(rows, str):
            return Scored(record, unreadable(task_of(record, self.config, rule), rows, record), {}, 0, 0, 0)
        rewards = [[self._raw_reward(values[id(row)])] for row in rows]
        made = judged(record, rewards, self.config, rule, self.calibration or Uncalibrated())
        tokens, cut = sum(len(row.ids) for row in rows), any(row.cut for row in rows)
        return Scored(record, made.judgement, made.numbers, tokens, 0, int(cut))

    def _raw_reward(self, outputs: Sequence[float]) -> RawReward:
        """The outputs with the one reward of them: the weighted mean, by the sum of the weights' sizes."""
        weights = self.config.model.objective_weights or (1.0,)
        total = sum(map(abs, weights))
        return RawReward(tuple(outputs), sum(w * value for w, value in zip(weights, outputs, strict=True)) / total)

    def _rows(self, record: Record) -> list[Row] | str:
        """A row a response, or why there are none."""
        rows = [self.write(record.prompt, response) for response in responses_of(record)]
        reason = next((row for row in rows if isinstance(row, str)), "")
        return reason or [row for row in rows if not isinstance(row, str)]


def chat_writer(tokenizer: ExampleTokenizer) -> Writer:
    """Texts by the tokenizer's chat template."""

    def write(prompt: Conversation, response: Conversation) -> Row | str:
        (tokens,) = tokenizer([Example(id="", group="", prompt=prompt, responses=(response,))])
        return tokens if isinstance(tokens, str) else Row(tokens.texts[0].ids.tolist(), [], tokens.cut)

    return write
