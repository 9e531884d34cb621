"""What the embedded judge is taught: for each shipped `brief` prompt, the reply that it should write.

A reply works everything out before it says anything, one operation a line of rewriting, and ends with its verdict.
The prompts are the very files that labelling renders, so training and use cannot drift apart.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from judge.prompting.template import Template, load_template
from judge.tiny.arithmetic import (
    OPERATORS,
    Tokens,
    innermost,
    next_operation,
    operate,
    parse,
    render,
    rewrite,
    substitute,
    tidy,
    value,
)
from judge.tiny.moves import any_style
from judge.tiny.problems import Node, problem
from judge.tiny.solutions import Step, Written, solve, solve_wrong


class Piece(NamedTuple):
    """Some text of a lesson, whether the model learns to write it, and whether all of it could follow what stands
    before (None: that is not asked)."""

    text: str
    learn: bool
    holds: bool | None = None


Lesson = list[Piece]
PROMPTS = ("answer", "critique", "outcome", "preference", "revision", "steps")
NEAT = 0.4  # share of the judged solutions that write out every operation, as the embedded judge does


# ---- replies -------------------------------------------------------------------------------------------------------


def _worked(tokens: Tokens) -> str:
    return " = ".join(render(line) for line in rewrite(tokens))


def check(step: Step) -> list[str]:
    """The lines of checking one step: what it starts from, then each link that says something new, beside the value
    that it should have, ok or no. Of the plan: each of its quotes beside what the problem says. A no ends it."""
    if step.quotes:
        same = [written == expected for _, written, expected in step.quotes]
        compared = step.quotes[: same.index(False) + 1] if False in same else step.quotes
        return [
            f"{lead}{written}; {expected} {'ok' if written == expected else 'no'}"
            for lead, written, expected in compared
        ]
    start = substitute(step.given, step.values)
    lettered = f"{render(step.given)} = " if step.values else ""
    lines, honest, before = [lettered + _worked(start)], value(start), render(step.given)
    for link in step.links:
        if link == before:
            continue
        before = link
        tokens = parse(link)
        numbers = substitute(tokens, step.values)
        right = value(numbers) == honest
        shown = f"{link} = {_worked(numbers)}" if numbers != tokens else _worked(tokens)
        lines.append(f"{shown}; {honest} {'ok' if right else 'no'}")
        if not right:
            break
    return lines


def step_reply(step: Step) -> str:
    """The reply to steps/brief."""
    return "\n".join([*check(step), f"Verdict: [[{'right' if step.right else 'wrong'}]]"])


def critique_reply(written: Written) -> str:
    """The reply to critique/brief: every step checked up to the first wrong one, then what is wrong with it."""
    lines: list[str] = []
    for number, step in enumerate(written.steps, 1):
        checked = check(step)
        lines += [f"Step {number}: {checked[0]}", *checked[1:]]
        if not step.right:
            return "\n".join([*lines, f"Step {number} is wrong."])
    return "\n".join([*lines, "No mistake found."])


def solution_text(written: Written) -> str:
    """A solution as one text, a step a line."""
    return "\n".join(step.text for step in written.steps)


def _neat(node: Node) -> str:
    return solution_text(solve(Random(0), node, neat=True))


def _said(name: str, written: Written, answer: int) -> str:
    return f"{name} says {written.answer}; {answer} {'ok' if written.answer == answer else 'no'}"


def outcome_reply(node: Node, written: Written) -> str:
    """The reply to outcome/brief: the problem solved, then the answers compared."""
    answer = value(node.tokens)
    verdict = "right" if written.answer == answer else "wrong"
    return f"{_neat(node)}\n{_said('It', written, answer)}\nVerdict: [[{verdict}]]"


def preference_reply(node: Node, first: Written, second: Written) -> str:
    """The reply to preference/brief: the problem solved, both answers compared with it."""
    answer = value(node.tokens)
    rights = [written.answer == answer for written in (first, second)]
    label = "C" if rights[0] == rights[1] else "A" if rights[0] else "B"
    compared = f"{_said('A', first, answer)}\n{_said('B', second, answer)}"
    return f"{_neat(node)}\n{compared}\nVerdict: [[{label}]]"


def _misquoted(last: Step) -> bool:
    """Whether the answer of the last step is not what its last link comes to."""
    return value(substitute(parse(last.links[-2]), last.values)) != int(last.links[-1])


# ---- lessons -------------------------------------------------------------------------------------------------------


def _operand(rng: Random) -> int:
    size = rng.choices((9, 20, 99, 300, 999, 9999, 99999), (10, 20, 35, 15, 12, 6, 2))[0]
    return rng.randint(-size, size)


def _drawn(rng: Random) -> tuple[int, str, int]:
    """An operation from anywhere: sums of a number and a digit with its zeros, products of up to three digits."""
    unit = rng.randint(1, 9) * 10 ** rng.choices((0, 1, 2, 3), (50, 32, 12, 6))[0] * rng.choice((-1, 1, 1))
    if rng.random() < 0.65:
        left = _operand(rng)
        if abs(left) < abs(unit) and rng.random() < 0.8:
            left = rng.choice((-1, 1)) * (abs(unit) + rng.randint(0, 9 * abs(unit)))
        return left, rng.choice("+-"), unit
    left = rng.choice((rng.randint(-9, 9), rng.randint(-99, 99), rng.randint(-99, 99) * rng.choice((1, 10, 100))))
    return (left, "*", unit) if rng.random() < 0.7 else (unit, "*", left)


def _met(rng: Random) -> list[tuple[int, str, int]]:
    """The operations that come up while a problem is worked out."""
    lines, met = rewrite(_problem(rng).tokens), []
    for tokens in lines[:-1]:
        place = next_operation(tokens)
        left, operator, right = tokens[place - 1 : place + 2]
        if isinstance(left, int) and isinstance(right, int) and isinstance(operator, str):
            met.append((left, operator, right))
    return met


def _sum(rng: Random, left: int, operator: str, right: int) -> Lesson:
    """One bare operation, a fact or over place values: -14 - 0 = -14, 47 - 35 = 47 - 30 - 5."""
    line = render(operate([left, operator, right], 1))
    return [Piece(f"{left} {operator} {right}", False), Piece(f" = {line}\n", True)]


def sums(rng: Random) -> Lesson:
    """A page of bare operations, half of them as they come up in problems."""
    page = [_drawn(rng) for _ in range(18)]
    while len(page) < 36:
        page += _met(rng)
    rng.shuffle(page)
    return [piece for operation in page for piece in _sum(rng, *operation)]


def chains(rng: Random) -> Lesson:
    """A page of expressions worked out line by line, as they come in problems and in half-finished solutions."""
    lesson: Lesson = []
    for _ in range(rng.randint(4, 8)):
        written = solve(rng, _problem(rng), wrong=0.3)
        step = rng.choice(written.steps[1:])
        tokens = parse(rng.choice([link for link in step.links if not any(letter in link for letter in "ABCDEFGH")]))
        if len(tokens) == 1:
            tokens = ["(", rng.randint(-9, 9), rng.choice(OPERATORS), _operand(rng), ")"]
        lines = [render(line) for line in rewrite(tokens)]
        lesson += [Piece(lines[0], False), Piece("".join(f" = {line}" for line in lines[1:]) + "\n", True)]
    return lesson


def _bare(rng: Random) -> list[Tokens]:
    """The operations that come up while a problem is worked out, nothing spread, and brackets with two left to do."""
    tokens, met = tidy(_problem(rng).tokens), []
    while len(tokens) > 1:
        start, end = innermost(tokens)
        place = next_operation(tokens)
        if end - start == 5:
            met.append(tokens[start:end])
        met.append(tokens[place - 1 : place + 2])
        tokens = operate(tokens, place, long=False)
    return met


def _flat(rng: Random) -> Tokens:
    """Two or three small numbers, as they meet when two operations are worked out at once."""
    tokens: Tokens = [_small(rng)]
    for _ in range(rng.choice((1, 2, 2))):
        operator = rng.choice("+-+-*")
        tokens += [operator, rng.randint(-9, 9) if operator == "*" else _small(rng)]
    return tokens


def _small(rng: Random) -> int:
    size = rng.choice((9, 9, 9, 30, 99))
    return rng.randint(-size, size)


def _easy(bare: Tokens) -> bool:
    return len(bare) == 3 and all(abs(number) < 10 for number in bare if isinstance(number, int))


def facts(rng: Random) -> Lesson:
    """A page of operations and short expressions as they come up in problems, few of the easiest, each value said at
    once: what a reward model, which writes nothing, has to know."""
    lesson: Lesson = []
    while len(lesson) < 70:
        for bare in [*_bare(rng), *(_flat(rng) for _ in range(5))]:
            if not _easy(bare) or rng.random() < 0.1:
                lesson += [Piece(f"{render(bare)} is", False), Piece(f" {value(bare)}\n", True)]
    return lesson


def _missed(rng: Random, bare: Tokens) -> int:
    """A wrong value of an operation: a slip, a lost sign, another operator."""
    right = value(bare)
    other = value([bare[0], rng.choice(OPERATORS), *bare[2:]])
    return rng.choice(
        [wrong for wrong in (right + rng.choice((-10, -2, -1, 1, 2, 10)), -right, other) if wrong != right]
    )


def claims(rng: Random) -> Lesson:
    """A page of operations with their values, half of them wrong, ok or no said at once after each."""
    lesson: Lesson = []
    while len(lesson) < 70:
        for bare in _bare(rng):
            right = rng.random() < 0.5
            result = value(bare) if right else _missed(rng, bare)
            lesson += [Piece(f"{render(bare)} = {result}", False), Piece(f" {'ok' if right else 'no'}\n", True)]
    return lesson


def glances(rng: Random) -> Lesson:
    """A page of links from solutions, ok or no said at once after each, up to the first that is wrong."""
    lesson: Lesson = []
    while len(lesson) < 40:
        for step in solve(rng, _problem(rng), wrong=0.6, neat=rng.random() < 0.5).steps[1:]:
            start = substitute(step.given, step.values)
            lesson.append(Piece(render(start), False))
            for link in step.links:
                numbers = substitute(parse(link), step.values)
                right = value(numbers) == value(start)
                lesson += [Piece(f" = {render(numbers)}", False), Piece(" ok" if right else " no", True)]
                if not right:
                    break
            lesson.append(Piece("\n", False))
    return lesson


def by_link(step: Step) -> Lesson:
    """A step's text cut before each "=": each link holds or does not, and what follows one that does not is not asked
    about. A plan is one piece."""
    if step.quotes:
        return [Piece(f"{step.text}\n", step.right, step.right)]
    honest = value(substitute(step.given, step.values))
    parts = f"{step.text}\n".split(" = ")
    lead = len(parts) - len(step.links) + bool(step.values)  # a last step says its last link twice, as its answer
    lesson: Lesson = []
    sound = True
    for index, part in enumerate(parts):
        end = len(step.links) if index == len(parts) - 1 else index - lead + 1
        links = step.links[max(0, index - lead) : end]
        holds = all(value(substitute(parse(link), step.values)) == honest for link in links)
        lesson.append(Piece(f" = {part}" if index else part, sound and holds, holds if sound else None))
        sound = sound and holds
    return lesson


def links(rng: Random) -> Lesson:
    """A page of chains in any style, each link learnt while it is right, and whether it could follow."""
    lesson: Lesson = []
    while len(lesson) < 90:
        for step in solve(rng, _problem(rng), wrong=0.4, style=any_style(rng)).steps[1:-1]:
            _, start, *rest = by_link(step)
            if start.holds:
                lesson += [Piece(start.text.removeprefix(" = "), False), *rest]
    return lesson


def quotes(rng: Random) -> Lesson:
    """A page of problems and plans of them, three in four misquoted, each compared part by part."""
    lesson: Lesson = []
    while len(lesson) < 20:
        written = solve(rng, _problem(rng), wrong=1e-9, plan_wrong=0.75, neat=rng.random() < NEAT)
        plan = written.steps[0]
        lesson += [Piece(f"{written.question}\n{plan.text}\n", False), Piece("\n".join(check(plan)) + "\n", True)]
    return lesson


def _problem(rng: Random) -> Node:
    """Mostly in the field that the model card promises, the others beyond it."""
    if rng.random() < 0.65:
        return problem(rng)
    return problem(rng, limit=rng.choice((999, 3_000, 3_000, 30_000)), wide=True)


def _judged(rng: Random, node: Node, *, wrong: float | int, plan_wrong: float = 0.04) -> Written:
    """A solution to be judged, in any style: now and then in the neat one, as the embedded judge itself writes."""
    return solve(rng, node, wrong=wrong, plan_wrong=plan_wrong, neat=rng.random() < NEAT)


class Teacher:
    """Draws lessons through the shipped prompts, as chat text with the model's own template."""

    def __init__(self, chat: Callable[[str], str]) -> None:
        """chat: the text of one user turn -> the prompt up to where the model begins to write."""
        self.chat = chat
        self.templates: dict[str, Template] = {task: load_template(task, "brief") for task in PROMPTS}

    def _prompt(self, task: str, **variables: object) -> str:
        (message,) = self.templates[task].render(**variables)
        return self.chat(message.content)

    def _step(self, written: Written, index: int) -> Lesson:
        texts = [step.text for step in written.steps]
        return [
            Piece(self._prompt("steps", prompt=written.question, steps=texts, index=index), False),
            Piece(step_reply(written.steps[index]), True),
        ]

    def steps(self, rng: Random) -> list[Lesson]:
        """Every step of one solution: lessons with the same beginning."""
        written = _judged(rng, _problem(rng), wrong=0.3)
        return [self._step(written, index) for index in range(len(written.steps))]

    def overlooked(self, rng: Random) -> Lesson:
        """A step whose mistakes are rare and look like copies: a plan that misquotes the problem, an answer that is not
        what was worked out. Half of them right."""
        plan, right = rng.random() < 0.5, rng.random() < 0.5
        wrong, plan_wrong = (0.0, 0.0) if right else (1e-9, 1.0) if plan else (0.9, 0.0)
        while True:
            written = _judged(rng, _problem(rng), wrong=wrong, plan_wrong=plan_wrong)
            if right or (not written.steps[0].right if plan else _misquoted(written.steps[-1])):
                return self._step(written, 0 if plan else len(written.steps) - 1)

    def glance(self, rng: Random) -> Lesson:
        """A solution judged at a glance: a word after each step and no working, as a process reward model sees it."""
        written = _judged(rng, _problem(rng), wrong=0.3)
        lesson = [Piece(self.chat(written.question), False)]
        for step in written.steps:
            lesson += [Piece(f"{step.text}\n", False), Piece(f" {'ok' if step.right else 'no'}\n", True)]
        return lesson

    def hand(self, rng: Random) -> Lesson:
        """A solution in any style, learnt word by word while it is right, and of each link whether it could follow:
        what a reward model that reads by likelihood has to know."""
        node = problem(rng, deep=0.5) if rng.random() < 0.3 else _problem(rng)
        written = solve(rng, node, wrong=0.3, neat=rng.random() < 0.1, style=any_style(rng))
        links = [piece for step in written.steps for piece in by_link(step)]
        return [Piece(self.chat(written.question), False), *links]

    def preference(self, rng: Random) -> Lesson:
        """Mostly one right and one wrong, now and then both alike."""
        node, draw, neat = _problem(rng), rng.random(), rng.random() < NEAT
        right = solve(rng, node, wrong=0, neat=neat)
        first, second = right, solve_wrong(rng, node, neat=neat)
        if draw < 0.12:
            second = solve(rng, node, wrong=0)
        elif draw < 0.22:
            first = solve_wrong(rng, node)
        if rng.random() < 0.5:
            first, second = second, first
        variables = {"first": solution_text(first), "second": solution_text(second)}
        prompt = self._prompt("preference", prompt=right.question, **variables)
        return [Piece(prompt, False), Piece(preference_reply(node, first, second), True)]

    def _one(self, rng: Random) -> tuple[Node, Written]:
        node, neat = _problem(rng), rng.random() < NEAT
        wrong = rng.random() < 0.55
        return node, solve_wrong(rng, node, neat=neat) if wrong else solve(rng, node, wrong=0, neat=neat)

    def outcome(self, rng: Random) -> Lesson:
        """One solution, right or wrong."""
        node, written = self._one(rng)
        prompt = self._prompt("outcome", prompt=written.question, response=solution_text(written))
        return [Piece(prompt, False), Piece(outcome_reply(node, written), True)]

    def critique(self, rng: Random) -> Lesson:
        """One solution, its steps checked in order."""
        _, written = self._one(rng)
        prompt = self._prompt("critique", prompt=written.question, response=solution_text(written))
        return [Piece(prompt, False), Piece(critique_reply(written), True)]

    def answer(self, rng: Random) -> Lesson:
        """A problem and its neat solution."""
        node = _problem(rng)
        question = f"{render(node.tokens)}{' =' if rng.random() < 0.8 else ''}"
        return [Piece(self._prompt("answer", prompt=question), False), Piece(_neat(node), True)]

    def revision(self, rng: Random) -> Lesson:
        """A solution with its critique, and the neat solution."""
        node, written = self._one(rng)
        critique = critique_reply(written)
        if rng.random() < 0.5:
            critique = critique.splitlines()[-1]
        prompt = self._prompt("revision", prompt=written.question, response=solution_text(written), critique=critique)
        return [Piece(prompt, False), Piece(_neat(node), True)]
