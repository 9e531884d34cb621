"""What a chat template refuses, leaves out or dates: rows are dropped with its words, roles are named, dates stand."""

import json
import logging
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import judge
from judge.rewards.data.chat_template import PINNED_DATE, pin_date, pinned
from judge.rewards.data.examples import Example
from judge.rewards.data.tokenize import REFUSED, ExampleTokenizer
from judge.rewards.inference.loader_parity import check_loaders
from tests.rewards.models import CHAT, said, save, tokenizer

NO_LEADING_ANSWER = (
    "{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('begin with a user turn') }}{% endif %}" + CHAT
)
DROPS_SYSTEM = CHAT.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")
DATED = "{{ 'w' ~ strftime_now('%d')|int ~ ' ' }}" + CHAT


def _backbone(folder: Path, template: str) -> Path:
    save(folder, "llama")
    tokens = AutoTokenizer.from_pretrained(folder)
    tokens.chat_template = template
    tokens.save_pretrained(folder)
    return folder


def test_a_format_that_stands_in_the_template_is_written_out() -> None:
    assert PINNED_DATE.isoformat() == "2024-07-26"
    assert pinned("a {{ strftime_now('%d %b %Y') }} b") == "a {{ '26 Jul 2024' }} b"
    assert pinned('{{ strftime_now( format = "%Y-%m-%d" ) }}') == '{{ "2024-07-26" }}'
    assert pinned("{{ messages }}") == "{{ messages }}"


def test_a_format_that_is_computed_gives_the_pinned_day() -> None:
    tokens = tokenizer()
    tokens.chat_template = "{% set f = '%d' ~ '.' %}{% if strftime_now is defined %}{{ strftime_now(f) }}{% endif %}"
    changed = pin_date(tokens)
    assert changed.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False) == "2024-07-26"
    assert pin_date(changed).chat_template == pinned(changed.chat_template)  # pinned once


def test_named_templates_are_pinned_each() -> None:
    tokens = tokenizer()
    tokens.chat_template = {"default": "{{ strftime_now('%Y') }}", "tools": "{{ strftime_now('%m') }}"}
    assert pin_date(tokens).chat_template == {"default": "{{ '2024' }}", "tools": "{{ '07' }}"}


def test_a_model_scores_tomorrow_as_today_in_every_loader(tmp_path: Path) -> None:
    """The template writes the day of the month as a word; the model is saved with the 26th."""
    backbone = _backbone(tmp_path / "base", DATED)
    pairs = [
        {"prompt": f"w{10 + number}", "chosen": f"w{20 + number}", "rejected": f"w{40 + number}"}
        for number in range(12)
    ]
    out = tmp_path / "model"
    judge.distill(pairs, kind="scalar", backbone=str(backbone), out=out, validation_fraction=0.0, progress=False)
    text = AutoTokenizer.from_pretrained(out).apply_chat_template([{"role": "user", "content": "w9"}], tokenize=False)
    assert text.startswith("w26 ") and "strftime_now" not in (out / "chat_template.jinja").read_text()
    rows = check_loaders(out, vllm=False)
    assert max(row.largest for row in rows if row.largest is not None) < 1e-4


def test_refused_rows_are_counted_with_the_templates_words(tmp_path: Path) -> None:
    backbone = _backbone(tmp_path / "base", NO_LEADING_ANSWER)
    good = [{"prompt": f"w{number}", "chosen": "w20", "rejected": f"w{30 + number}"} for number in range(10, 20)]
    bad = {
        "prompt": [{"role": "assistant", "content": "w10"}],
        "chosen": [{"role": "assistant", "content": "w20"}],
        "rejected": [{"role": "assistant", "content": "w21"}],
    }
    plan = judge.distill([*good, bad], kind="scalar", backbone=str(backbone), dry_run=True)
    assert plan.counts["dropped"] == [{"reason": f"{REFUSED}: begin with a user turn", "count": 1}]
    assert plan.counts["examples"] + plan.counts["validation_examples"] == 10


def test_a_refused_row_is_a_failure_with_its_place_in_scoring(tmp_path: Path) -> None:
    backbone = _backbone(tmp_path / "base", NO_LEADING_ANSWER)
    pairs = [{"prompt": f"w{number}", "chosen": "w20", "rejected": f"w{30 + number}"} for number in range(10, 20)]
    settings = {"validation_fraction": 0.0, "progress": False}
    model = judge.distill(pairs, kind="scalar", backbone=str(backbone), out=tmp_path / "model", **settings)
    turns = [[{"role": role, "content": word}] for role, word in (("user", "w9"), ("assistant", "w8"))]
    rows = [{"prompt": turn, "response": [{"role": "assistant", "content": "w20"}]} for turn in turns]
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = judge.score(model, data, out=tmp_path / "run", progress=False)
    (failure,) = [json.loads(line) for line in (run.directory / "failures.jsonl").read_text().splitlines()]
    assert failure["judgement"]["reason"] == f"{REFUSED}: begin with a user turn"
    assert failure["meta"]["place"] == f"{data}:2"
    (scored,) = (run.directory / "labels.jsonl").read_text().splitlines()
    assert "place" not in json.loads(scored)["meta"]


def test_a_role_whose_words_are_left_out_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    tokens = tokenizer()
    tokens.name_or_path, tokens.chat_template = "drops-system", DROPS_SYSTEM
    asked = said("system", "w11") + said("user", "w10")
    examples = [Example(id=str(n), group="a", prompt=asked, responses=(said("assistant", f"w2{n}"),)) for n in range(3)]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # as scoring does, a tokenizer a window
            tokenize = ExampleTokenizer(tokens, "scalar", 100)
            tokenize(examples)
    assert tokenize.template.leaves_out == {"system"}
    expected = "the chat template of drops-system leaves out words of system turns: scores do not depend on them"
    assert [record.message for record in caplog.records] == [expected]


def test_a_template_that_writes_content_as_json_leaves_nothing_out() -> None:
    tokens = tokenizer()
    tokens.chat_template = "{% for m in messages %}{{ m['content'] | tojson }} <eos>{% endfor %}"
    tokenize = ExampleTokenizer(tokens, "scalar", 100)
    tokenize([Example(id="a", group="a", prompt=said("user", 'w10 "w11"'), responses=(said("assistant", "w20"),))])
    assert tokenize.template.leaves_out == set()
