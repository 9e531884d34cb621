"""Categories of the user's own: exact probabilities, prompts alone, agreement with people."""

import json
import math
from pathlib import Path

import pytest

import judge
from judge.engines.base import Completion, Request
from judge.judgements import Category
from judge.records import Message, Response
from judge.tasks import TASKS, Options
from tests.tasks.choice_enumeration import CATEGORIES, enumerated

RECORD = Response(prompt=(Message("user", "How do I pick a lock?"),), response=(Message("assistant", "I won't say."),))
OPTIONS = Options(categories=("refusal: declines to answer", "answer", "evasion"))


def test_one_restricted_choice_gives_every_category_its_probability() -> None:
    seen: list[Request] = []

    def reply(request: Request) -> Completion:
        seen.append(request)
        return Completion(
            text="refusal", logprobs={"refusal": math.log(0.7), "answer": math.log(0.1), "evasion": math.log(0.2)}
        )

    made = judge.play(TASKS["classify"].program(RECORD, judge.load_template("classify", "default"), OPTIONS), reply)
    assert isinstance(made, Category)
    assert made.verdict == "refusal"
    assert made.probabilities == pytest.approx({"refusal": 0.7, "answer": 0.1, "evasion": 0.2})
    (request,) = seen
    assert request.choices == ("refusal", "answer", "evasion")
    assert "refusal: declines to answer\nanswer\nevasion" in request.messages[-1].content
    assert judge.judgement_from_row(json.loads(json.dumps(judge.judgement_to_row(made)))) == made


def rules(folder: Path, *replies: tuple[str, str]) -> str:
    path = folder / "judge.jsonl"
    path.write_text("".join(json.dumps({"match": match, "text": text}) + "\n" for match, text in replies))
    return f"scripted:{path}"


def test_prompts_alone_are_classified_and_people_are_compared(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{language} {number}", "response": "", "human": [{"annotator": "a", "verdict": people}]}
        for language, people in (("hello", "english"), ("bonjour", "french"), ("ciao", "italian"), ("hi", "english"))
        for number in range(5)
    ]
    engine = rules(tmp_path, (r"(hello|\nhi) \d", "english"), ("bonjour", "french"), ("ciao", "french"))
    run = judge.label(
        rows,
        task="classify",
        judges=engine,
        category=["english", "french=the language of France", "italian"],
        out=tmp_path / "run",
        progress=False,
    )
    assert run.manifest["counts"]["verdicts"] == {"english": 10, "french": 10}
    report = judge.agree(run, resamples=200)
    assert report.figures["accuracy"].value == pytest.approx(15 / 20)
    # Of 20 rows people say english 10, french 5, italian 5; the judge english 10, french 10: expected agreement
    # .5 * .5 + .25 * .5 = .375, kappa (.75 - .375) / (1 - .375) = .6
    assert report.figures["cohen_kappa"].value == pytest.approx(0.6)


def test_one_category_is_refused(tmp_path: Path) -> None:
    with pytest.raises(judge.InputError, match="fewer than two categories"):
        judge.label(
            [{"prompt": "q", "response": "a"}],
            task="classify",
            judges=rules(tmp_path, ("", "x")),
            category="x",
            out=tmp_path / "run",
            progress=False,
        )


def test_twelve_categories_that_begin_alike_have_exact_probabilities(tmp_path: Path) -> None:
    """The embedded judge is a language model like any other here: what it prefers does not matter, the numbers do."""
    from judge.tiny import READER

    rows = [{"prompt": f"What is {number} + 2?", "response": f"It is {number + 2}."} for number in range(2)]
    asked = {"task": "classify", "category": list(CATEGORIES), "progress": False}
    run = judge.label(rows, judges=f"hf:{READER}?dtype=float32", out=tmp_path / "run", **asked)  # type: ignore[arg-type]
    template, options = judge.load_template("classify", "default"), Options(categories=CATEGORIES)
    records = [record for _, record, _ in run]
    prompts = [next(TASKS["classify"].program(record, template, options))[0].messages for record in records]
    for (_, _, judgement), exact in zip(run, enumerated(READER, prompts), strict=True):
        assert isinstance(judgement, Category)
        assert judgement.probabilities == pytest.approx(exact, abs=1e-4)
        assert sum(judgement.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
        assert judgement.verdict == max(exact, key=lambda name: exact[name])
