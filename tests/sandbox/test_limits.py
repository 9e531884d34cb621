"""Hostile templates: whatever would run, write or nest without end is refused in a line, in two seconds."""

import time
from pathlib import Path

import pytest

from judge.errors import TemplateError
from judge.prompting.body import Body
from judge.prompting.template import lint, load_template
from judge.sandbox.limits import BUDGET, STEP, Budget, TooMuch

MORE = "the template repeats or writes more than it may"
VALUES = {"prompt": "p" * 200, "first": "f" * 2000}


def body(text: str) -> Body:
    return Body("{% user %}" + text + "{% enduser %}", "x.jinja")


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) if false %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{{ first }}{% endfor %}",
        "{% for a in range(100000) %}" + "x" * 10_000 + "{% endfor %}",
        "{% for x in [1, 2] recursive %}{% if loop.depth < 40 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for x in prompt | slice(10 ** 9) %}{% endfor %}",
        "{{ prompt | batch(10 ** 9, 'x') | list }}",
        "{{ prompt | indent(10 ** 9) }}",
        "{{ 'a' | center(10 ** 10) }}",
        "{% filter center(10 ** 10) %}a{% endfilter %}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ 10 ** 10 * [1] }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (10 ** 9, 1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ ('{0}' * 5000).format('a' * 1000000) }}",
        "{{ 'a'.ljust(10 ** 10) }}",
        "{{ ('\\t' * 100000).expandtabs(100000) }}",
        "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
        "{{ ('a' * 100000) | join('b' * 100000) }}",
        "{{ ('a' * 100000).translate({97: 'b' * 100000}) }}",
        "{{ 1.5 | round(10 ** 9, 'ceil') }}",
        "{{ [1] | tojson(indent=10 ** 9) }}",
        "{% set n = namespace(a='a') %}{% for i in range(99) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
        "{% set n = namespace(a='a') %}{% for i in range(99) %}{% set n.a = n.a + n.a %}{% endfor %}",
        # Values that share their parts are small in memory and endless once they are written, compared or hashed.
        "{% set n = namespace(a=[]) %}{% for i in range(99) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}",
        "{% set n = namespace(a=(1,)) %}{% for i in range(99) %}{% set n.a = (n.a, n.a) %}{% endfor %}{{ {n.a: 1} }}",
        "{% set n = namespace(a={}) %}{% for i in range(99) %}{% set n.a = {1: n.a, 2: n.a} %}{% endfor %}{{ n.a }}",
        "{% set n = namespace() %}{% set n.a = [n, n] %}{{ n }}",
        "{{ (range(100000)" + " | map('string')" * 20 + ") | list | length }}",
        "{{ [-10 ** 12] | map('!step') | list }}" + "{{ 'a' * 10 ** 10 }}",  # no way to earn budget
    ],
)
def test_what_would_never_end_is_refused_in_two_seconds(text: str) -> None:
    start = time.process_time()
    with pytest.raises(TemplateError, match=MORE):
        body(text).render(VALUES)
    assert time.process_time() - start < 10  # without the bound: minutes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ 9 ** (9 ** 9) }}", "a number of more than 3,000 digits"),
        ("{{ '{:{}}'.format(1, 10 ** 9) }}", "a width that is filled in while formatting"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "maximum recursion depth"),
        ("{{ ''.__class__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ ''['__class__'] }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ '{0.__class__}'.format(1) }}", "access to attribute '__class__' of 'int' object is unsafe"),
        ("{{ lipsum }}", "'lipsum' is undefined"),
        ("{% include '/etc/passwd' %}", "no loader"),
    ],
)
def test_what_else_a_template_may_not_do(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        body(text).render(VALUES)


HEAD = "---\ntask: preference\nlabels: {first: A, second: B}\nverdict: '\\[\\[(A|B)\\]\\]'\n---\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", 6, "the body is nested too deeply or cannot be compiled"),
        ("{{ 1" + "+1" * 5000 + " }}", 6, "the body is nested too deeply or cannot be compiled"),
        ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, 6, "the body is nested too deeply or cannot be compiled"),
        ("{{ " + "9" * 5000 + " }}", 6, "the body is nested too deeply or cannot be compiled"),
        ("{% set _turns = [] %}", 6, "'_turns' cannot be set"),
        ("{% macro _frames() %}{% endmacro %}", 6, "'_frames' cannot be set"),
        # The head has 80 bytes, the tags and variables around the text 58.
        ("x" * 65_536, 1, "a prompt of 65,674 bytes; accepted: up to 65,536"),
    ],
)
def test_a_body_that_python_cannot_compile_is_a_finding(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text(HEAD + "{% user %}" + text + "{{ prompt }}{{ first }}{{ second }}{% enduser %}")
    places = [(finding.line, finding.message[: len(message)]) for finding in lint(path)]
    assert (line, message) in places
    with pytest.raises(TemplateError):
        load_template("preference", str(path))


def test_a_budget_is_spent_once() -> None:
    """One hundred a step: BUDGET / 100 steps fit, the next one does not; nobody earns any back."""
    budget = Budget()
    for _ in range(BUDGET // STEP):
        budget.spend(STEP)
    budget.spend(-STEP)
    with pytest.raises(TooMuch):
        budget.spend(1)


def test_what_prompts_do_comes_out_as_in_plain_jinja() -> None:
    text = (
        "{% for a in ['x', 'y'] %}{{ loop.index }}/{{ loop.length }}={{ a ~ 1 }}{{ ', ' if not loop.last }}{% endfor %}"
        "; {% for x in [3, 1, 2] | sort if x > 1 %}{{ x * 2 + 2 ** x }} {% endfor %}; "
        "{% for key, value in {'a': 1}.items() %}{{ key }}{{ value }}{% endfor %}; "
        "{{ ['b', 'a'] | map('upper') | join('-') }}; {{ absent | default('none') }}; {{ absent is defined }}; "
        "{{ 'a' in ['a'] }}; {{ 'abcdef'[1:3] }}; {{ '%03d %s' % (7, 'x') }}; {{ '{:>4}'.format('r') }}; "
        "{% macro twice(t) %}{{ t }}{{ t }}{% endmacro %}{{ twice('m') }}; {{ 'a\nb' | indent(2) }}; "
        "{% set n = namespace(sum=0) %}{% for i in range(4) %}{% set n.sum = n.sum + i %}{% endfor %}{{ n.sum }}"
    )
    # 2 · 2 + 2² = 8, 3 · 2 + 2³ = 14; 0 + 1 + 2 + 3 = 6.
    assert body(text).render({})[0].content == (
        "1/2=x1, 2/2=y1; 8 14 ; a1; B-A; none; False; True; bc; 007 x;    r; mm; a\n  b; 6"
    )


def test_long_texts_are_rendered() -> None:
    """Two million characters, framed, are far within the budget."""
    text = "word " * 200_000
    turns = body("{{ prompt | frame('a') }}{{ first | frame('b') }}").render({"prompt": text, "first": text})
    assert len(turns[0].content) == 2 * len(text) + len("<a>\n\n</a><b>\n\n</b>")


def test_constants_nested_deeply_are_refused_at_once() -> None:
    started = time.process_time()
    with pytest.raises(SyntaxError, match="too many nested parentheses"):
        body("{% set n = " + "-" * 300 + "1 %}")
    assert time.process_time() - started < 5  # a few hundredths; 8 s with Jinja's optimizer


def test_a_number_too_large_is_named() -> None:
    with pytest.raises(TemplateError, match="name 'inf' is not defined"):
        body("{{ '%d' % 31e999 }}").render({})
