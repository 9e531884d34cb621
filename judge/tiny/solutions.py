"""Solutions written step by step, and the mistakes that can be made in them.

A solution cuts a problem into lettered parts, works out each part in a chain of equalities, and puts the values
together. The chains differ in how much they do at once and in how they write it, because judged solutions come
from many writers. A mistake breaks exactly one equality (or one copy) and what follows goes on from it, as people do.
"""

from dataclasses import dataclass, field
from random import Random

from judge.tiny.arithmetic import (
    OPERATORS,
    Tokens,
    parse,
    render,
    rewrite,
    substitute,
    tidy,
    value,
)
from judge.tiny.moves import USUAL, WritingStyle, bracket_numbers, mistake, move, slip
from judge.tiny.problems import Node, question


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One written step and what a careful reader needs to check it.

    given: what the step should start from: the part's definition, or the plan in letters. values: what each letter was
    found to be, for the last step. links: the expressions of its chain as written. quotes: the plan itself has these
    alone: each definition and the letters' own expression, as lead ("A = " or none), what is written, what the problem
    has. right: whether every link and every quote holds.
    """

    text: str
    right: bool
    given: Tokens = field(default_factory=list)
    values: dict[str, Tokens] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    quotes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A whole solution. answer: what it says; right: whether every step is."""

    question: str
    steps: tuple[Step, ...]
    answer: int

    @property
    def right(self) -> bool:
        return all(step.right for step in self.steps)

    @property
    def first_wrong(self) -> int:
        """0-based index of the first wrong step, -1 when all are right."""
        return next((index for index, step in enumerate(self.steps) if not step.right), -1)


# ---- chains --------------------------------------------------------------------------------------------------------


def _neat(rng: Random, start: Tokens, wrong: bool) -> list[Tokens]:
    """One operation a link: the way in which the embedded judge writes itself. If `wrong`, one link slips."""
    links = rewrite(start)[1:]
    if not wrong:
        return links
    place = rng.randrange(len(links)) if links else 0
    before = links[place - 1] if place else start
    spoiled = list(links[place]) if links else list(start)
    numbers = [position for position, token in enumerate(spoiled) if isinstance(token, int)]
    new = [position for position in numbers if spoiled[position] not in before]
    while value(spoiled) == value(start):
        position = rng.choice(new or numbers)
        number = spoiled[position]
        assert isinstance(number, int)
        spoiled[position] = slip(rng, number)
        new = []
    return [*links[:place], spoiled, *rewrite(spoiled)[1:]]


def _chain(rng: Random, start: Tokens, wrong: bool, style: WritingStyle) -> list[Tokens]:
    """Links after the first: `start` = … = number, by honest moves and, if `wrong`, one that is not."""
    links: list[Tokens] = []
    current, spoiled = start, not wrong
    moves_left = max(1, sum(token in OPERATORS for token in start) - 1)
    while len(tidy(current)) > 1 or not spoiled:
        if not spoiled and (len(tidy(current)) == 1 or rng.random() < 1 / moves_left):
            after, spoiled = mistake(rng, current), True
        elif links and rng.random() < 0.02:
            after = current
        else:
            after = move(rng, current, style)
        moves_left = max(1, moves_left - 1)
        shown = bracket_numbers(rng, current, after) if rng.random() < style.bracketing else after
        if style.liberty and rng.random() < 0.25:
            shown = _unwrapped(shown)
        links.append(shown)
        current = after
    if len(links[-1]) == 1 and rng.random() < 0.15:
        links[-1] = ["(", *links[-1], ")"]
    elif len(links[-1]) > 1 and rng.random() < 0.5:
        links.append(tidy(links[-1]))
    return links


# ---- whole solutions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    letters: dict[str, Tokens]
    shape: Tokens


def _cut(rng: Random, node: Node, style: WritingStyle, *, neat: bool) -> _Plan:
    """Letters for parts of the problem: its leaves, or now and then whole halves of it."""
    letters: dict[str, Tokens] = {}

    def visit(part: Node, depth: int) -> Tokens:
        leaf = part.left is None or part.right is None
        whole = leaf or depth == 2 or (depth == 1 and not neat and rng.random() < coarse)
        if whole:
            letter = "ABCDEFGH"[len(letters)]
            letters[letter] = part.tokens
            return [letter]
        assert part.left is not None and part.right is not None
        inner = [*visit(part.left, depth + 1), part.operator, *visit(part.right, depth + 1)]
        return ["(", *inner, ")"] if depth else inner

    coarse = rng.choice(style.coarse)
    shape = visit(node, 0)
    draw = rng.random()
    if not neat and draw < 0.15:
        shape = ["(", *shape, ")"]
    elif not neat and draw < 0.4 and shape[0] == "(":  # (A - B) + C is A - B + C
        end = shape.index(")")
        if shape[end + 1] in ("+", "-") or "*" == shape[end + 1] == shape[2]:
            shape = [*shape[1:end], *shape[end + 1 :]]
    if style.liberty and shape[-1] == ")" and rng.random() < style.liberty:  # A + (B - C) is A + B - C
        start = len(shape) - 1 - shape[::-1].index("(")
        if start and (shape[start - 1] == "+" or "*" == shape[start - 1] == shape[start + 2]):
            shape = [*shape[:start], *shape[start + 1 : -1]]
    return _Plan(letters, shape)


def _spoil_plan(rng: Random, plan: _Plan, node: Node) -> _Plan | None:
    """A plan that is not the problem: a number, sign or operator copied wrongly. None where no copy would matter."""
    honest = value(node.tokens)
    for _ in range(20):
        letters = {letter: list(tokens) for letter, tokens in plan.letters.items()}
        shape = list(plan.shape)
        tokens = letters[rng.choice(list(letters))] if rng.random() < 0.75 else shape
        place = rng.randrange(len(tokens))
        token = tokens[place]
        if isinstance(token, int):
            tokens[place] = -token if rng.random() < 0.4 else rng.randint(-9, 9)
        elif token in OPERATORS:
            tokens[place] = rng.choice([operator for operator in OPERATORS if operator != token])
        if value(substitute(shape, letters)) != honest:
            return _Plan(letters, shape)
    return None


def _unwrapped(tokens: Tokens) -> Tokens:
    """Without the brackets around all of it, if there are any."""
    depth, closed = 0, 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        closed += depth == 0
    return tokens[1:-1] if tokens[0] == "(" and closed == 1 else tokens


def _plan_text(rng: Random, plan: _Plan, style: WritingStyle, *, neat: bool) -> str:
    bare = style.liberty > 0 and rng.random() < 0.3
    definitions = [
        f"{letter} = {render(_unwrapped(tokens) if bare else tokens)}" for letter, tokens in plan.letters.items()
    ]
    if not neat and rng.random() < 0.02:  # a bracket too many is a slip of the pen, no mistake
        place = rng.randrange(len(definitions))
        definitions[place] = definitions[place].replace("= (", "= ((")
    draw = rng.random()
    if neat or draw < 0.45:
        listed = ", ".join(definitions[:-1]) + ("," if len(definitions) > 2 else "") + " and " + definitions[-1]
    elif draw < 0.8:
        listed = " and ".join(definitions)
    else:
        listed = ", ".join(definitions)
    opening = (
        "This equation can be written as"
        if neat or rng.random() < 0.9
        else rng.choice(("Write this as", "The problem is"))
    )
    return f'{opening} "{render(plan.shape)}", where {listed}.'


def _quotes(plan: _Plan, correct: _Plan) -> tuple[tuple[str, str, str], ...]:
    """What a plan takes from the problem, as it is written beside what is asked; see Step."""
    letters = [(f"{name} = ", render(tokens), render(correct.letters[name])) for name, tokens in plan.letters.items()]
    return (*letters, ("", render(plan.shape), render(correct.shape)))


def solve(
    rng: Random,
    node: Node,
    *,
    wrong: float | int = 0,
    neat: bool = False,
    plan_wrong: float = 0.04,
    style: WritingStyle = USUAL,
) -> Written:
    """A solution of `node`.

    wrong: a probability that each step holds a mistake (a float), or how many steps do (an int).
    neat: in the one plain way in which the embedded judge writes; only the mistakes are drawn, whatever the style.
    """
    style = USUAL if neat else style
    plan = _cut(rng, node, style, neat=neat)
    count = len(plan.letters) + 1
    if isinstance(wrong, int):
        spoiled = set(rng.sample(range(1, count + 1), min(wrong, count)))
        plan_spoiled = False
    else:
        spoiled = {index for index in range(1, count + 1) if rng.random() < wrong}
        plan_spoiled = wrong > 0 and rng.random() < plan_wrong
    other_plan = _spoil_plan(rng, plan, node) if plan_spoiled else None
    correct_plan, plan = plan, other_plan or plan
    steps = [
        Step(text=_plan_text(rng, plan, style, neat=neat), right=other_plan is None, quotes=_quotes(plan, correct_plan))
    ]
    opening = (
        "Let's calculate"
        if neat or rng.random() < 0.92
        else rng.choice(("Calculate", "Now", "Next,", "First work out"))
    )
    values: dict[str, Tokens] = {}
    for index, (letter, tokens) in enumerate(plan.letters.items(), 1):
        step, number = _part(rng, f"{opening} {letter} = ", tokens, index in spoiled, style, neat=neat)
        values[letter] = [number]
        steps.append(step)
    last, answer = _together(rng, plan, values, count in spoiled, style, neat=neat)
    return Written(question=question(node), steps=(*steps, last), answer=answer)


def _part(
    rng: Random, opening: str, tokens: Tokens, wrong: bool, style: WritingStyle, *, neat: bool
) -> tuple[Step, int]:
    start = tokens
    if wrong and rng.random() < 0.06:  # the definition itself is copied wrongly
        start = mistake(rng, tokens)
        start = ["(", *start, ")"] if start[0] != "(" and len(start) > 1 else start
        wrong = False
        links = _chain(rng, start, False, style) if len(start) > 1 else []
        right = False
    else:
        right = not wrong
        links = _neat(rng, tokens, wrong) if neat else _chain(rng, tokens, wrong, style)
    written = [render(start), *(render(link) for link in links)]
    if not neat and rng.random() < 0.05:
        written.insert(1, written[0])
    (number,) = tidy(parse(written[-1]))
    assert isinstance(number, int)
    return Step(text=f"{opening}{' = '.join(written)}.", right=right, given=tokens, links=tuple(written)), number


def _together(
    rng: Random, plan: _Plan, values: dict[str, Tokens], wrong: bool, style: WritingStyle, *, neat: bool
) -> tuple[Step, int]:
    """The last step: the plan with the values put in."""
    start = substitute(plan.shape, values)
    draw = rng.random()
    right, claimed = not wrong, None
    shape, shown = plan.shape, start
    if wrong and draw < 0.12:  # a value is copied wrongly
        spoiled = {letter: list(number) for letter, number in values.items()}
        honest = value(start)
        while value(substitute(plan.shape, spoiled)) == honest:
            letter = rng.choice(list(spoiled))
            number = spoiled[letter][0]
            assert isinstance(number, int)
            spoiled[letter] = [slip(rng, number) or 1]
        shown, wrong = substitute(plan.shape, spoiled), False
    elif wrong and draw < 0.18:
        claimed, wrong = 0, False
    elif wrong and draw < 0.24:  # the plan is remembered wrongly
        shape = list(plan.shape)
        while value(substitute(shape, values)) == value(start):
            place = rng.choice([place for place, token in enumerate(shape) if token in OPERATORS])
            shape[place] = rng.choice(OPERATORS)
            if value(substitute(shape, values)) == value(start) and rng.random() < 0.3:
                shape, claimed = list(plan.shape), 0
                break
        shown, wrong = substitute(shape, values), False
    links = (_neat(rng, shown, wrong) if neat else _chain(rng, shown, wrong, style)) if len(shown) > 1 else []
    if not neat:
        shown = [*shown]
        for place in range(len(shown) - 1, -1, -1):
            token = shown[place]
            if isinstance(token, int) and token < 0 and rng.random() < 0.25:
                shown[place : place + 1] = ["(", token, ")"]
    if neat or rng.random() < 0.85:
        lead = render(shape if neat or rng.random() < 0.8 else ["(", *shape, ")"])
        if style.liberty and rng.random() < 0.5:
            lead = render(_unwrapped(shape))
    else:
        lead = ""
    written = [text for text in (lead, render(shown), *(render(link) for link in links)) if text]
    (answer,) = tidy(parse(written[-1]))
    assert isinstance(answer, int)
    if claimed is not None:
        while claimed == 0 or claimed == answer:
            claimed = slip(rng, answer)
        answer = claimed
    opening = (
        "Then, the final equation is"
        if neat or rng.random() < 0.9
        else rng.choice(("Finally,", "Together:", "So we have"))
    )
    closing = "So the answer is" if neat or rng.random() < 0.95 else "The answer is"
    text = f"{opening} {' = '.join(written)}. {closing} {answer}" + ("." if not neat and rng.random() < 0.15 else "")
    return Step(text=text, right=right, given=plan.shape, values=values, links=(*written, str(answer))), answer


def solve_wrong(rng: Random, node: Node, *, neat: bool = False, style: WritingStyle = USUAL) -> Written:
    """A solution with a mistake or two whose answer is wrong."""
    while True:
        written = solve(rng, node, wrong=rng.choice((1, 1, 2)), neat=neat, style=style)
        if written.answer != value(node.tokens):
            return written
