"""A tournament of one prompt's responses: pairs are compared in both orders, and Bradley-Terry strengths are fitted.

A comparison is soft: P(first is better), both orders merged. One that cannot be read is counted and left out. Where the
comparisons that are left join only some of the responses, strengths of different groups cannot be compared, and there
is no order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from random import Random

from judge.judgements import Order, Preference, Reading
from judge.prompting.template import Template
from judge.records import Ranking
from judge.tasks.base import TOURNAMENTS, Options, Program
from judge.tasks.preference import merge, pair_questions
from judge.tasks.queries import ask, gather, seed_for

PRIOR_WINS = 0.05
"""Wins that every response has against every other one before any is judged; keeps all strengths finite."""
TRIES = 10_000
"""Pairings that are tried for a Swiss round before the best of them is taken."""

Match = tuple[int, int]
"""Two responses, by 0-based index."""


def tournament(record: Ranking, template: Template, options: Options) -> Program[Order]:
    """The tournament that the options name; the comparisons of a round are one batch.

    Every draw follows from the options' seed and the record, so the same tournament is played in every run.
    """
    results = Results(len(record.responses))
    drawn = list(range(results.count))
    Random(seed_for(options.seed, f"{record.id}/tournament", 0)).shuffle(drawn)
    match options.tournament:
        case "full":
            pairs = list(combinations(range(results.count), 2))
            results.add(pairs, (yield from compare(record, pairs, template, options)))
        case "swiss":
            for _ in range(options.rounds or swiss_rounds(results.count)):
                pairs = results.next_round(drawn)
                results.add(pairs, (yield from compare(record, pairs, template, options)))
        case "knockout":
            while len(drawn) > 1:
                pairs = list(zip(drawn[::2], drawn[1::2], strict=False))
                results.add(pairs, (yield from compare(record, pairs, template, options)))
                byes = drawn[2 * len(pairs) :]  # goes first, so that it rests once
                drawn = byes + [results.winner(pair) for pair in pairs]
        case other:
            raise ValueError(f"'{other}' is no tournament (accepted: {', '.join(TOURNAMENTS)})")
    return results.order()


def swiss_rounds(count: int) -> int:
    """The rounds of a Swiss tournament unless told: ceil(log2 N) + 1, of 8 responses 16 of 28 pairs."""
    return (count - 1).bit_length() + 1


def compare(record: Ranking, pairs: Sequence[Match], template: Template, options: Options) -> Program[list[Preference]]:
    """Every pair in both orders, all in one batch; their preferences in the order given."""
    record_id = record.id
    return (yield from gather([_comparison(record, record_id, pair, template, options) for pair in pairs]))


def _comparison(
    record: Ranking, record_id: str, pair: Match, template: Template, options: Options
) -> Program[Preference]:
    names = _names(*pair)
    batch = pair_questions(record.pair(*pair), template, options, record_id=record_id, names=names)
    readings = yield from gather([ask(question, options) for question in batch])
    return merge(readings, forward=names[0])


def _names(first: int, second: int) -> tuple[str, str]:
    """What a pair of responses is called in readings, as it stands and swapped: counted from 1, as people do."""
    return f"{first + 1} or {second + 1}", f"{second + 1} or {first + 1}"


class Results:
    """The comparisons of a tournament so far.

    Attributes:
        count: how many responses there are.
        wins: a pair that could be read -> P(its first is better).
        games: a response -> how many comparisons it took part in, unreadable ones too.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.wins: dict[Match, float] = {}
        self.games: Counter[int] = Counter()
        self._played: set[frozenset[int]] = set()
        self._reasons: list[str] = []
        self._readings: list[Reading] = []

    def add(self, pairs: Sequence[Match], comparisons: Sequence[Preference]) -> None:
        """Take the comparisons of a round."""
        for pair, comparison in zip(pairs, comparisons, strict=True):
            self._played.add(frozenset(pair))
            self.games.update(pair)
            self._readings += comparison.readings
            if comparison.p_first is None:
                self._reasons.append(comparison.reason)
            else:
                self.wins[pair] = comparison.p_first

    def winner(self, pair: Match) -> int:
        """Who goes on; the one that was drawn first where the comparison is level or could not be read."""
        return pair[1] if self.wins.get(pair, 0.5) < 0.5 else pair[0]

    def next_round(self, drawn: Sequence[int]) -> list[Match]:
        """Pairs of responses of about equal strength, no pair twice; equal strengths stand as they were drawn.

        Of an odd number the weakest of those that played most rests.
        """
        strengths = bradley_terry(self.wins, self.count)
        order = sorted(drawn, key=lambda response: -strengths[response])
        if len(order) % 2:
            order.remove(max(reversed(order), key=lambda response: self.games[response]))
        return pair_up(order, self._played)

    def order(self) -> Order:
        """The judgement; without a verdict where no chain of comparisons joins all responses."""
        strengths = bradley_terry(self.wins, self.count)
        groups = groups_of(self.count, self.wins)
        joined = not any(groups)
        ranked = tuple(sorted(range(self.count), key=lambda response: (-strengths[response], response)))
        return Order(
            verdict=ranked if joined else None,
            reason="" if joined else self._why_apart(groups),
            strengths=strengths,
            comparisons=len(self._played),
            unreadable=len(self._reasons),
            groups=() if joined else groups,
            readings=tuple(self._readings),
        )

    def _why_apart(self, groups: Sequence[int]) -> str:
        members = [
            [str(response + 1) for response, group in enumerate(groups) if group == number]
            for number in range(max(groups) + 1)
        ]
        unread = f"; {len(self._reasons)} could not be read: {self._reasons[0]}" if self._reasons else ""
        return f"no comparison joins {' and '.join(','.join(group) for group in members)}{unread}"


def pair_up(order: Sequence[int], played: set[frozenset[int]]) -> list[Match]:
    """Pairs of neighbours in an order, none of them in `played`; fewer than half of it where no more were found."""
    best: list[Match] = []
    tries = 0

    def search(rest: list[int], pairs: list[Match]) -> bool:
        nonlocal best, tries
        tries += 1
        if len(pairs) > len(best):
            best = list(pairs)
        if len(rest) < 2:
            return True
        first, *others = rest
        for place, other in enumerate(others):
            if frozenset((first, other)) in played:
                continue
            if search(others[:place] + others[place + 1 :], [*pairs, (first, other)]):
                return True
            if tries > TRIES:
                return False
        return False

    if search(list(order), []):
        return best
    return max(best, _greedy(order, played), key=len)


def _greedy(order: Sequence[int], played: set[frozenset[int]]) -> list[Match]:
    """Each response with the next one that is free; one without any rests."""
    free, pairs = list(order), list[Match]()
    while free:
        first = free.pop(0)
        other = next((response for response in free if frozenset((first, response)) not in played), None)
        if other is not None:
            free.remove(other)
            pairs.append((first, other))
    return pairs


def groups_of(count: int, pairs: Iterable[Match]) -> tuple[int, ...]:
    """The number of each response's group: those that a chain of pairs joins are one. The largest is 0, the others
    follow by size; of equal ones the one with the lower index comes first."""
    group = list(range(count))
    for first, second in pairs:
        old, new = sorted((group[first], group[second]), reverse=True)
        group = [new if number == old else number for number in group]
    sizes = Counter(group)
    numbers = {name: number for number, name in enumerate(sorted(sizes, key=lambda name: (-sizes[name], name)))}
    return tuple(numbers[name] for name in group)


def bradley_terry(wins: Mapping[Match, float], count: int) -> tuple[float, ...]:
    """Log-strengths with mean 0 under which P(i beats j) = sigmoid(s_i - s_j) fits the soft wins best.

    wins: (i, j) -> the share of i's wins over j, in [0, 1]. Bradley and Terry 1952, fitted by the iterated spectral
    method of Maystre and Grossglauser 2015 (choix). 0.05 wins are added to each side of every pair, so the maximum is
    finite and unique whatever was judged: a response that won everything does not run off to infinity.
    """
    import choix
    import numpy as np

    table = np.full((count, count), PRIOR_WINS)
    np.fill_diagonal(table, 0.0)
    for (first, second), share in wins.items():
        table[first, second] += share
        table[second, first] += 1.0 - share
    fitted = choix.ilsr_pairwise_dense(table, max_iter=10_000)
    return tuple(float(value) for value in fitted - fitted.mean())
