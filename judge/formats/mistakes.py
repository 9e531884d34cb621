"""Solutions in which people marked the first wrong step: ProcessBench and BIG-Bench Mistake."""

from judge.formats.base import Format, Row
from judge.formats.fields import integer, label, need, rest, said, text, texts, truth, wrong
from judge.records import HumanLabel, Solution


def processbench(row: Row) -> list[Solution]:
    """One solution; `label` is the 0-based first wrong step, -1 for none. Whether the final answer is right is a label
    of its own (criterion "correct"): a right answer may stand on a wrong step."""
    steps = texts(row, "steps")
    human = label("processbench", first_wrong(integer(row, "label"), len(steps), "label"))
    if "final_answer_correct" in row:
        human += label("processbench", float(truth(row, "final_answer_correct")), "correct")
    meta = rest(row, ("problem", "steps", "label", "final_answer_correct"))
    return [Solution(prompt=said("user", text(row, "problem")), steps=steps, human=human, meta=meta)]


def bigbench(row: Row) -> list[Solution]:
    """One trace; `mistake_index` is the 0-based first wrong step, null for none; `target` is the true answer."""
    steps = texts(row, "steps")
    index = -1 if need(row, "mistake_index") in (None, "") else integer(row, "mistake_index")
    human: tuple[HumanLabel, ...] = label("big-bench-mistake", first_wrong(index, len(steps), "mistake_index"))
    meta = rest(row, ("input", "steps", "target", "mistake_index"))
    prompt = said("user", text(row, "input"))
    return [Solution(prompt=prompt, steps=steps, reference=text(row, "target"), human=human, meta=meta)]


def first_wrong(index: int, steps: int, name: str) -> int:
    """An index of a step, checked against their number."""
    if not -1 <= index < steps:
        raise wrong(name, index, f"-1 to {steps - 1}, there are {steps} steps")
    return index


FORMATS = (
    Format(
        name="processbench",
        about="ProcessBench: problem, steps, label (first wrong step, -1 for none), final_answer_correct",
        fields=("problem", "steps", "label"),
        read=processbench,
    ),
    Format(
        name="big-bench-mistake",
        about="BIG-Bench Mistake: input, steps, answer, target, mistake_index",
        fields=("input", "steps", "target", "mistake_index"),
        read=bigbench,
    ),
)
