"""How a chain of equalities goes on: honest moves that keep the value, and the slips that do not.

A writer has habits (`WritingStyle`): how much is done at once, and how it is written. Everything is drawn from the
random generator that the caller seeds.
"""

from dataclasses import dataclass
from random import Random

from judge.tiny.arithmetic import OPERATORS, Tokens, compute, next_operation, operate, tidy, value


@dataclass(frozen=True, slots=True)
class WritingStyle:
    """Habits of who writes, as probabilities.

    grouping: a product gets brackets before anything is worked out. bracketing: a new number does. liberty: a move is
    any that keeps the value, and a plan leaves out what brackets it can. coarse: of these one is drawn, how often a
    half of the problem stays whole. haste: of these one is drawn, how many operations a move does at once.
    """

    grouping: float = 0.10
    bracketing: float = 0.15
    liberty: float = 0.0
    coarse: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.5, 1.0)
    haste: tuple[int, ...] = (1, 1, 1, 2, 2, 3, 5)


USUAL = WritingStyle()


def any_style(rng: Random) -> WritingStyle:
    """Somebody's habits, wider than the usual ones in all but haste."""
    return WritingStyle(
        grouping=rng.choice((0.1, 0.1, 0.5, 0.8)),
        bracketing=rng.choice((0.15, 0.15, 0.5)),
        liberty=rng.choice((0.0, 0.0, 0.4, 0.8)),
        coarse=(0.0, 0.0, 0.5, 1.0),
        haste=rng.choice(((1, 1, 1, 2), (1, 1, 2))),
    )


# ---- moves that keep the value -------------------------------------------------------------------------------------


def _groups(tokens: Tokens) -> list[tuple[int, int]]:
    """Ranges inside brackets that hold no further bracket; the whole when there is none."""
    if ")" not in tokens:
        return [(0, len(tokens))]
    groups, start = [], 0
    for place, token in enumerate(tokens):
        if token == "(":
            start = place + 1
        elif token == ")" and start:
            groups.append((start, place))
            start = 0
    return groups


def _reduce_somewhere(rng: Random, tokens: Tokens) -> Tokens:
    start, end = rng.choice(_groups(tokens))
    products = [place for place in range(start, end) if tokens[place] == "*"]
    if not products:
        sums = list(range(start + 1, end, 2))
        if len(sums) > 1 and rng.random() < 0.2:  # 3 - 4 + 5 read as 3 + (-4 + 5), done right
            place = sums[rng.randrange(1, len(sums))]
            if tokens[place - 2] == "+":
                return operate(tokens, place, long=False)
        return operate(tokens, start + 1, long=False)
    firsts = [place for place in products if place - 2 not in products]
    return operate(tokens, rng.choice(firsts), long=False)


def _group_products(rng: Random, tokens: Tokens) -> Tokens:
    """-4 + -5 * -7 + 4 -> -4 + (-5 * -7) + 4"""
    start, end = rng.choice(_groups(tokens))
    firsts = [
        place for place in range(start + 1, end, 2) if tokens[place] == "*" and tokens[place - 2 : place - 1] != ["*"]
    ]
    firsts = [place for place in firsts if place - 2 < start or tokens[place - 2] != "*"]
    if not firsts or end - start <= 3:
        return tokens
    place = rng.choice(firsts)
    return [*tokens[: place - 1], "(", *tokens[place - 1 : place + 2], ")", *tokens[place + 2 :]]


def _simplify_signs(rng: Random, tokens: Tokens) -> Tokens:
    """3 - -7 -> 3 + 7 and 3 + -7 -> 3 - 7, all or one; never before a product with brackets of its own."""
    places = [
        place
        for place in range(1, len(tokens) - 1)
        if tokens[place] in ("+", "-") and isinstance(tokens[place + 1], int) and tokens[place + 1] < 0  # type: ignore[operator]
    ]
    if not places:
        return tokens
    result = list(tokens)
    for place in places if rng.random() < 0.7 else [rng.choice(places)]:
        number = result[place + 1]
        assert isinstance(number, int)
        result[place] = "-" if result[place] == "+" else "+"
        result[place + 1] = -number
    return result


def bracket_numbers(rng: Random, before: Tokens, after: Tokens) -> Tokens:
    """Brackets around numbers that are new: -4 + (35) + 4."""
    bracketed = {
        place + 1 for place, token in enumerate(after) if token == "(" and after[place + 2 : place + 3] == [")"]
    }
    new = [place for place, token in enumerate(after) if isinstance(token, int) and token not in before]
    places = [place for place in new if place not in bracketed]
    if not places:
        return after
    place = rng.choice(places)
    return [*after[:place], "(", after[place], ")", *after[place + 1 :]]


def _free(rng: Random, tokens: Tokens) -> Tokens:
    """Any operation worked out or put into brackets, wherever that keeps the value: 9 - 7 + 2 -> 9 - (5)."""
    honest = value(tokens)
    for _ in range(8):
        start, end = rng.choice(_groups(tokens))
        places = range(start + 1, end, 2)
        if not places:
            continue
        place = rng.choice(places)
        left, operator, right = tokens[place - 1 : place + 2]
        assert isinstance(left, int) and isinstance(right, int) and isinstance(operator, str)
        flat, draw = tokens[start:end], rng.random()
        if draw < 0.15 and "*" in flat and ("+" in flat or "-" in flat):
            moved = [*tokens[:start], *_products(flat), *tokens[end:]]
        elif draw < 0.5:
            stop = place if rng.random() < 0.7 else rng.choice([other for other in places if other >= place])
            if (place - 1, stop + 2) == (start, end):
                continue
            moved = [*tokens[: place - 1], "(", *tokens[place - 1 : stop + 2], ")", *tokens[stop + 2 :]]
        else:
            turned = operator != "*" and place - 2 >= start and tokens[place - 2] == "-"  # 9 - 7 + 2 is 9 - (7 - 2)
            number = compute(left, {"+": "-", "-": "+"}[operator] if turned else operator, right)
            shown: Tokens = [number] if rng.random() < 0.6 else ["(", number, ")"]
            moved = [*tokens[: place - 1], *shown, *tokens[place + 2 :]]
        if value(moved) == honest:
            return moved
    return tokens


def _products(tokens: Tokens) -> Tokens:
    """Every product of a flat expression in brackets: 2 * -5 + 8 * -4 -> (2 * -5) + (8 * -4)."""
    terms: list[Tokens] = [[]]
    for token in tokens:
        if token in ("+", "-"):
            terms += [[token], []]
        else:
            terms[-1].append(token)
    return [token for term in terms for token in (["(", *term, ")"] if "*" in term else term)]


def move(rng: Random, tokens: Tokens, style: WritingStyle = USUAL) -> Tokens:
    """One honest move: the value stays. Brackets around numbers are gone first."""
    if style.liberty and rng.random() < style.liberty:
        return _free(rng, tidy(tokens))
    draw = rng.random()
    if draw < style.grouping:
        moved = _group_products(rng, tokens)
        if moved != tokens:
            return moved
    tokens = tidy(tokens)
    if draw < style.grouping + 0.15:
        moved = _simplify_signs(rng, tokens)
        if moved != tokens:
            return moved
    for _ in range(rng.choice(style.haste)):
        if len(tokens) > 1:
            tokens = tidy(
                _reduce_somewhere(rng, tokens)
                if rng.random() < 0.5
                else operate(tokens, next_operation(tokens), long=False)
            )
    return tokens


# ---- mistakes ------------------------------------------------------------------------------------------------------


def slip(rng: Random, number: int) -> int:
    """A number near a number, as writers slip: a unit, a ten, a sign, a digit."""
    draw = rng.random()
    if draw < 0.30:
        return number + rng.choice((-1, 1))
    if draw < 0.40:
        return number + rng.choice((-2, 2, -3, 3, -4, 4))
    if draw < 0.55:
        return number + rng.choice((-10, 10, -10, 10, -20, 20, -100, 100))
    if draw < 0.80:
        return -number
    if draw < 0.90 and abs(number) > 9:
        digits = list(str(abs(number)))
        place = rng.randrange(len(digits) - 1)
        digits[place], digits[place + 1] = digits[place + 1], digits[place]
        return int("".join(digits)) * (-1 if number < 0 else 1)
    return number + rng.randint(-19, 19)


def _wrong_order(rng: Random, tokens: Tokens) -> Tokens:
    """A sum done before the product beside it, or a - b + c taken as a - (b + c)."""
    start, end = rng.choice(_groups(tokens))
    places = [
        place
        for place in range(start + 1, end, 2)
        if place - 2 > start - 1 or (tokens[place] != "*" and place + 2 < end)
    ]
    return operate(tokens, rng.choice(places), long=False) if places else tokens


def _confuse(rng: Random, before: Tokens) -> Tokens:
    """`before` carried on wrongly."""
    draw = rng.random()
    if draw < 0.12 and len(before) > 3:
        return _wrong_order(rng, before)
    if draw < 0.24 and len(before) > 1:  # a sum and its sign: 3 - -7 -> 3 - 7
        places = [place for place in range(1, len(before) - 1) if before[place] in ("+", "-")]
        if places:
            place = rng.choice(places)
            number = before[place + 1]
            after = list(before)
            if isinstance(number, int) and rng.random() < 0.8:
                after[place + 1] = -number
            else:
                after[place] = "-" if before[place] == "+" else "+"
            return after
    if draw < 0.30 and len(before) > 5:  # a term is lost
        places = [
            place
            for place in range(1, len(before) - 1)
            if before[place] in OPERATORS and isinstance(before[place + 1], int)
        ]
        if places:
            place = rng.choice(places)
            return [*before[:place], *before[place + 2 :]]
    after = move(rng, before) if draw < 0.9 else list(before)
    after = tidy(after)
    new = [place for place, token in enumerate(after) if isinstance(token, int) and token not in before]
    old = [place for place, token in enumerate(after) if isinstance(token, int)]
    place = rng.choice(new if new and rng.random() < 0.85 else old)
    number = after[place]
    assert isinstance(number, int)
    return [*after[:place], slip(rng, number), *after[place + 1 :]]


def mistake(rng: Random, before: Tokens) -> Tokens:
    """`before` carried on so that the value is another one."""
    honest = value(before)
    for _ in range(20):
        after = tidy(_confuse(rng, tidy(before)))
        if value(after) != honest and abs(value(after)) < 10**6:
            return after
    while (number := slip(rng, honest)) == honest:  # zero times zero: only the result itself can be wrong
        pass
    return [number]
