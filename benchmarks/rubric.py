"""Checklists and written rubrics on generated problems whose truth is known.

    python benchmarks/rubric.py
    python benchmarks/rubric.py --judge tiny --rows 100

`checklist`: every row brings criteria of its own about one solution, weighted, two of them useless. A scripted judge
reads the solution, errs in a tenth of its verdicts and abstains in a tenth. The figure is the area under the ROC curve
of the expected score for right answers; criteria on which the judge abstains are left out of the score and counted.

`generate`: a scripted author proposes useful criteria, useless ones and the same in other words for half of the pairs;
the other half says how far the rubric that stays agrees with the truth.

--judge tiny asks the embedded judge one criterion in the words that it has learnt: whether the answer is right.
"""

import argparse
import json
import math
import re
import tempfile
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import judge
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.records import Response, RubricItem
from judge.tasks.checklist import WHOLE
from judge.tiny.arithmetic import parse, value
from judge.tiny.samples import pairs, responses

WANTED = {"auc": 0.95, "useless_kept": 0}
ERRS, ABSTAINS, SURE = 0.1, 0.1, 0.85
RIGHT = "The final answer is the value of the problem."
LINKS = "Every equality that the solution writes holds."
WRONG = "The solution ends with a number that is not the value of the problem."
LETTERS = "The solution names its parts by letters."
FRENCH = "The solution is written in French."
LONG = "The solution has more than 350 characters."
EVEN = "The final answer is an even number."
USEFUL, USELESS = (RIGHT, LINKS, WRONG), (LETTERS, FRENCH, LONG, EVEN)
AUTHOR = f"""<rubric>
[+3] {RIGHT}
[+3] The final answer is the value of that problem.
[+2] {LINKS}
[-2] {WRONG}
[+1] {LETTERS}
[-1] {FRENCH}
[+4] {LONG}
[+4] {EVEN}
</rubric>"""
BRIEF = """---
task: checklist
labels: {met: right, unmet: wrong}
verdict: '(?i)\\[\\[\\s*(right|wrong)\\s*\\]\\]'
max_tokens: 1200
---
{% user %}
{{ prompt | frame("problem") }}
{{ response | frame("solution") }}
Is the answer right?
{% enduser %}
"""


def main() -> None:
    """Read the options, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="scripted", help="scripted, or tiny: the embedded judge, one criterion")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.judge == "scripted":
            figures = {
                "checklist": checklist(Path(folder), asked.rows, asked.seed),
                "generate": generate(Path(folder), asked.rows // 4, asked.seed),
            }
        else:
            figures = {"checklist": by_model(Path(folder), asked.judge, asked.rows, asked.seed)}
    print(json.dumps({**figures, "wanted": WANTED}, indent=2))


def checklist(folder: Path, rows: int, seed: int) -> dict[str, Any]:
    """The AUC of scores by the criteria of each row."""
    run = judge.label(
        [with_rubric(record) for record in responses(rows, seed=seed)],
        task="checklist",
        judges=ScriptedEngine(answer),
        out=folder / "checklist",
        progress=False,
    )
    return {**figures_of(run), "criteria": 6, "errs": ERRS, "abstains": ABSTAINS}


def by_model(folder: Path, spec: str, rows: int, seed: int) -> dict[str, Any]:
    """The AUC of scores by the one criterion that the embedded judge has learnt."""
    prompt = folder / "brief.jinja"
    prompt.write_text(BRIEF, encoding="utf-8")
    run = judge.label(
        list(responses(rows, seed=seed)),
        task="checklist",
        judges=spec,
        prompt=prompt,
        rubric=[RIGHT],
        no_reference=True,
        out=folder / "model",
    )
    return figures_of(run)


def figures_of(run: judge.Run) -> dict[str, Any]:
    """AUC of the expected score, of the hard one, and of each criterion; what has no score stands apart."""
    rows = [(row.record, row.judgement) for row in run if isinstance(row.judgement, judge.Checklist)]
    truth, judged = [bool(record.human[0].verdict) for record, _ in rows], [judgement for _, judgement in rows]
    labels = dict.fromkeys(label for judgement in judged for label in judgement.points)
    decided = sum(len(judgement.verdict) - 1 for judgement in judged)
    abstained = sum(len(judgement.abstained) for judgement in judged)
    return {
        "rows": len(judged),
        "without_score": run.counts.unreadable,
        "abstained": round(abstained / (decided + abstained), 4),
        "auc": auc([judgement.expected[WHOLE] for judgement in judged], truth),
        "auc_of_verdicts": auc([judgement.verdict[WHOLE] for judgement in judged], truth),
        "auc_of_each": {label: auc([judgement.expected.get(label) for judgement in judged], truth) for label in labels},
    }


def auc(scores: Sequence[float | None], truth: Sequence[bool]) -> float:
    """P(a right answer scores higher than a wrong one), a tie counted half; answers without a score are left out."""
    known = [(score, right) for score, right in zip(scores, truth, strict=True) if score is not None]
    good = [score for score, right in known if right]
    bad = [score for score, right in known if not right]
    wins = sum((first > second) + 0.5 * (first == second) for first in good for second in bad)
    return round(wins / (len(good) * len(bad)), 4)


def generate(folder: Path, rows: int, seed: int) -> dict[str, Any]:
    """What stays of a written rubric, and its agreement with the truth on prompts that were held out."""
    made = judge.generate_rubrics(
        list(pairs(rows, seed=seed, ties=0.0)),
        judges=ScriptedEngine(answer),
        out=folder / "generate",
        shared=True,
        held_out=0.5,
        seed=seed,
        progress=False,
    )
    kept = [candidate.item.text for candidate in made.kept]
    return {
        "prompts": made.prompts,
        "held_out": made.held_out_prompts,
        "proposed": len({candidate.item.text for candidate in made.candidates}),
        "kept": {candidate.item.text: round(candidate.separation.value or 0.0, 3) for candidate in made.kept},
        "useless_kept": sum(text in USELESS for text in kept),
        "useful_dropped": sum(text not in kept for text in USEFUL),
        "dropped": {c.item.text: c.dropped for c in reversed(made.dropped) if c.item.text not in kept},
        "agreement": [None if number is None else round(number, 3) for number in made.agreement],
        "agreement_of_all_proposed": [None if number is None else round(number, 3) for number in made.before],
    }


def with_rubric(record: Response) -> Response:
    """A solution with criteria of its own: two name the value of its problem."""
    right = record.reference
    items = (
        RubricItem(text=f"The final answer is {right}.", points=5.0, name="answer"),
        RubricItem(text=LINKS, points=3.0, name="links"),
        RubricItem(text=f"The solution ends with a number that is not {right}.", points=-3.0, name="other"),
        RubricItem(text="The value that the problem has follows from the last step.", points=2.0, name="last"),
        RubricItem(text=LETTERS, points=1.0, name="letters"),
        RubricItem(text=FRENCH, points=-1.0, name="french"),
    )
    return Response(
        prompt=record.prompt, response=record.response, reference=right, rubric=items, human=record.human, meta={}
    )


# -- the scripted judge -----------------------------------------------------------------------------------------------


def answer(request: Request) -> Completion | str:
    """Write the rubric, or judge one criterion: read the solution, then err or abstain by a draw of the question."""
    criterion = shown(request, "judging_criterion")
    if not criterion:
        return AUTHOR
    problem, solution = shown(request, "user_prompt"), shown(request, "candidate_response")
    met = holds(criterion, problem, solution)
    draw = int.from_bytes(blake2b(f"{criterion}/{solution}".encode(), digest_size=4).digest()) / 2**32
    if draw < ABSTAINS:
        return choice("unsure")
    return choice("yes" if met != (draw < ABSTAINS + ERRS) else "no")


def shown(request: Request, tag: str) -> str:
    """What stands inside a tag of the user's message."""
    return request.messages[-1].content.partition(f"<{tag}>\n")[2].partition(f"\n</{tag}>")[0]


def choice(label: str) -> Completion:
    """A restricted choice, sure to a stated degree."""
    rest = math.log((1.0 - SURE) / 2)
    return Completion(
        text=label, logprobs={name: math.log(SURE) if name == label else rest for name in ("yes", "no", "unsure")}
    )


def holds(criterion: str, problem: str, solution: str) -> bool:
    """Whether a criterion is true of a solution, by reading it."""
    right = value(parse(problem.rstrip("= ")))
    last = int(re.findall(r"-?\d+", solution)[-1])
    rules: dict[str, Callable[[], bool]] = {
        "The final answer is the value": lambda: last == right,
        f"The final answer is {right}": lambda: last == right,
        "The solution ends with": lambda: last != right,
        "Every equality": lambda: all(map(equal, solution.splitlines())),
        "The value that": lambda: equal(solution.splitlines()[-1]) and last == right,
        "The solution names": lambda: "where A" in solution,
        "The solution is written": lambda: " donc " in solution,
        "The solution has more": lambda: len(solution) > 350,
        "The final answer is an even": lambda: last % 2 == 0,
    }
    return next(rule() for begins, rule in rules.items() if criterion.startswith(begins))


def equal(line: str) -> bool:
    """Whether all expressions without letters of a chain of equalities have one value."""
    chain = [
        part.strip().rstrip(".") for part in re.split(r"=", re.sub(r"(So |The )?[Tt]he answer is.*|So the.*", "", line))
    ]
    values = [
        value(parse(part)) for part in chain if part and re.fullmatch(r"[-\d+*() ]+", part) and re.search(r"\d", part)
    ]
    return len(set(values)) <= 1


if __name__ == "__main__":
    main()
