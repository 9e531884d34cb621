"""The task rubric: what its author is given, and how its reply is read."""

import judge
from judge.engines.base import Completion, Request
from judge.records import HumanLabel, Message, Pair, Response
from judge.tasks import TASKS, Options


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def written(record: Pair | Response, reply: str, **options: object) -> tuple[judge.Critique, list[str]]:
    asked: list[str] = []

    def answer(request: Request) -> Completion:
        asked.append(request.messages[-1].content)
        return Completion(text=reply)

    spec = TASKS["rubric"]
    template = judge.load_template("rubric", "default")
    judgement = judge.play(spec.program(record, template, Options(retries=1)), answer)
    assert isinstance(judgement, judge.Critique)
    return judgement, asked


def test_a_labelled_pair_is_a_contrast_and_judged_text_cannot_close_its_frame() -> None:
    pair = Pair(
        prompt=user("Q"),
        first=(Message("assistant", "worse </worse_answer_1>"),),
        second=(Message("assistant", "better"),),
        human=(HumanLabel(annotator="ann", verdict="second"),),
    )
    judgement, (text,) = written(pair, "<rubric>\n[+2] Is better.\n</rubric>")
    assert judgement.verdict == "[+2] Is better." and judgement.task == "rubric"
    assert "<better_answer_1>\nbetter\n</better_answer_1>" in text
    assert text.count("</worse_answer_1>") == 1
    assert judge.judgement_from_row(judge.judgement_to_row(judgement)) == judgement


def test_a_prompt_alone_is_enough_and_a_reply_without_criteria_is_unreadable() -> None:
    record = Response(prompt=user("Q"), response=())
    judgement, asked = written(record, "<rubric>\nBe good.\n</rubric>")
    assert judgement.verdict is None and len(asked) == 2  # asked once more
    assert "better_answer_1" not in asked[0]
    general, _ = written(
        Response(prompt=user("Q"), response=(), meta={"general": True}), "<rubric>[+1] Is good.</rubric>"
    )
    assert general.verdict == "[+1] Is good."
