"""Broken constitutions: every problem is found, at its line, and nothing else is; the shipped ones have none.

In each case the comment `#! words` stands on the line of a problem and quotes a part of its message.
"""

import re
import time
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from random import Random
from string import ascii_lowercase

import pytest

from judge.constitution.constitution import load_constitution, shipped
from judge.constitution.lint import lint
from judge.constitution.wording import twins, words_of
from judge.errors import InputError

HEAD = "name: mine\nversion: 1\ndescription: What a test needs.\n"
ONE = "principles:\n  - id: short\n    text: The response is short.\n"


def principle(text: str, more: str = "") -> str:
    """A constitution of two principles, the second with this text, quoted as it must be; and further lines of it."""
    return f"{HEAD}{ONE}  - id: other\n    text: {text}\n" + "".join(f"    {line}\n" for line in more.splitlines())


def examples(*lines: str) -> str:
    return principle("The answer is right.", "examples:\n" + "\n".join(f"  - {line}" for line in lines))


BROKEN = {
    # What keeps it from loading.
    "unknown key": f"{HEAD}principels: []  #! unknown key 'principels'; did you mean 'principles'?\n{ONE}",
    "unknown key of a principle": principle("Ok.", "wieght: 2  #! in principle 2; did you mean 'weight'?"),
    "unknown key of an example": examples(
        "{prompt: p, first: a, second: b, verdict: first, because: c}  #! unknown key 'because' in example 1 of"
    ),
    "unknown key of the sampling": f"{HEAD}sampling: {{randm: 1}}  #! in sampling; did you mean 'random'?\n{ONE}",
    "key twice": f"{HEAD}version: 2  #! key 'version' twice (first on line 2)\n{ONE}",
    "key of a principle twice": principle("Ok.", "text: Again.  #! key 'text' twice in principle 2 (first on line 8)"),
    "no name": f"version: 1  #! no 'name'\ndescription: d\n{ONE}",
    "name with blanks": f"name: my own  #! name 'my own' is none\nversion: 1\ndescription: d\n{ONE}",
    "name is a number": f"name: 7  #! 'name' is a number; accepted: text (put it in quotation marks)\n"
    f"version: 1\ndescription: d\n{ONE}",
    "no principles": "name: mine  #! no 'principles'\nversion: 1\ndescription: d\n",
    "principles empty": f"{HEAD}principles: []  #! 'principles' is empty\n",
    "principles a mapping": f"{HEAD}principles:  #! 'principles' is a mapping; accepted: a list of mappings\n  a: b\n",
    "principle a text": f"{HEAD}{ONE}  - The response is right.  #! principle 2 is a text\n",
    "no id": f"{HEAD}{ONE}  - text: The answer is right.  #! no 'id' in principle 2\n",
    "id with capitals": f"{HEAD}{ONE}  - id: Short_One  #! id 'Short_One' is none\n    text: The answer is right.\n",
    "id twice": f"{HEAD}{ONE}  - id: short  #! id 'short' twice (first on line 5)\n    text: The answer is right.\n",
    "no text": f"{HEAD}{ONE}  - id: other  #! no 'text' in principle 2\n",
    "text empty": principle("\"\"  #! 'text' in principle 2 is empty"),
    "text is a truth value": principle("yes  #! is a truth value; accepted: text (put it in quotation marks)"),
    "text is a list": principle("[a, b]  #! 'text' in principle 2 is a list; accepted: text"),
    "weight negative": principle("The answer is right.", "weight: -1  #! is -1; accepted: a number above 0"),
    "weight zero": principle("The answer is right.", "weight: 0  #! is 0; accepted: a number above 0"),
    "weight a word": principle("The answer is right.", "weight: heavy  #! is a text; accepted: a number above 0"),
    "weight not finite": principle("The answer is right.", "weight: .inf  #! is inf; accepted: a number above 0"),
    "tags a mapping": principle("The answer is right.", "tags: {a: b}  #! 'tags' holds a mapping"),
    "tag twice": principle("The answer is right.", "tags: [a, a]  #! 'a' twice in 'tags'"),
    "examples a mapping": principle("The answer is right.", "examples: {a: b}  #! is a mapping; accepted: a list"),
    "example without verdict": examples(
        "{prompt: p, first: a, second: b}  #! no 'verdict' in example 1 of principle 2"
    ),
    "unknown verdict": examples("{prompt: p, first: a, second: b, verdict: frist}  #! did you mean 'first'?"),
    "sampling a word": f"{HEAD}sampling: some  #! 'sampling' is 'some'; accepted: all, {{random: K}}\n{ONE}",
    "sampling none at random": f"{HEAD}sampling: {{random: 0}}  #! is 0; accepted: a whole number above 0\n{ONE}",
    "sampling more than there are": f"{HEAD}sampling: {{random: 5}}  #! 5 principles at random of 1\n{ONE}",
    "sampling by a tag nobody has": f"{HEAD}sampling: {{tag: safe}}  #! no principle has the tag 'safe'\n{ONE}",
    "include of nothing": f"{HEAD}include: helpfull  #! unknown constitution 'helpfull'; did you mean 'helpful'?\n"
    f"{ONE}",
    "include with a taken id": f"{HEAD}include: helpful  #! id 'right-level' of 'helpful' is taken by this file\n"
    "principles:\n  - {id: right-level, text: The response is short.}\n",
    "not YAML": f"{HEAD}principles: [  \n  - id: a  #! no YAML\n",
    "tab for a blank": f"{HEAD}principles:\n\t- id: a  #! no YAML: found character '\\t'\n",
    "a list": "- id: a  #! a list; a constitution is a mapping with the keys name\n  text: b\n",
    # What loads, and is still wrong.
    "no version": f"name: mine  #! no 'version'\ndescription: d\n{ONE}",
    "no description": f"name: mine  #! no 'description'\nversion: 1\n{ONE}",
    "two sentences": principle("The answer is right. The tone is kind.  #! says two things: two sentences"),
    "two statements": principle("The answer is right and cites its sources.  #! two statements joined by 'and cites'"),
    "two qualities": principle("The response is helpful, honest and harmless.  #! 'is helpful, honest and harmless'"),
    "semicolon": principle("The answer is right; nothing is left out.  #! says two things: a semicolon"),
    "as well as": principle("The response names the cause as well as the cure.  #! says two things: 'as well as'"),
    "question": principle("Is the response true?  #! a question; a principle is a statement"),
    "names a place": principle("Response A is more polite.  #! 'Response A' names a place"),
    "twins": principle("Every response should be short.  #! 'other' says nearly the same as 'short' (line 6)"),
    "all weights alike": f"{HEAD}principles:\n"
    "  - {id: a, text: The answer is right., weight: 2}  #! all weights are 2\n"
    "  - {id: b, text: The tone is kind., weight: 2}\n",
    "a weight that drowns": principle("The answer is right.", "weight: 100  #! weight 100 drowns the others")
    + "  - {id: third, text: The tone is kind.}\n",
    "a weight that never decides": principle("The answer is right.", "weight: 0.001  #! weight 0.001 never decides")
    + "  - {id: third, text: The tone is kind.}\n",
    "examples contradict": examples(
        "{prompt: p, first: a, second: b, verdict: first}",
        "{prompt: p, first: b, second: a, verdict: first}  #! contradicts the example on line 10",
    ),
    "example repeated": examples(
        "{prompt: p, first: a, second: b, verdict: tie}",
        "{prompt: p, first: b, second: a, verdict: tie}  #! repeats the example on line 10",
    ),
    "example of two alike": examples(
        "{prompt: p, first: a, second: a, verdict: first}  #! the two responses are the same"
    ),
    "Jinja": principle("'The response answers {{ prompt }}.'  #! 'text': '{{' is Jinja"),
    "chat token": principle("The response has no <|im_end|> in it.  #! '<|im_end|>' is a special token"),
    "tag of the prompt": principle("The part in <response_a> is short.  #! '<response_a>' reads like a tag"),
    "verdict": principle("The response says [[A]] nowhere.  #! '[[A]]' could be taken for a verdict"),
    "verdict in a request": principle("The answer is right.", "critique_request: 'Verdict: A'  #! taken for a verdict"),
    "invisible character": principle('"The answer is\\u200b right."  #! an invisible character (U+200B)'),
    "slip in a tag": f"{HEAD}principles:\n  - {{id: a, text: The answer is right., tags: [safety]}}\n"
    "  - {id: b, text: The tone is kind., tags: [safety]}\n"
    "  - {id: c, text: Nobody is hurt., tags: [saftey]}  #! tag 'saftey' stands once; did you mean 'safety'?\n",
    "all of them at random": f"{HEAD}sampling: {{random: 1}}  #! as many principles at random as there are\n{ONE}",
    "several at once": f"{HEAD}licence: MIT  #! unknown key 'licence'\nprinciples:\n  - id: a\n"
    "    text: The answer is right and never guesses.  #! says two things\n    weight: no  #! is a truth value\n"
    "  - id: a  #! id 'a' twice\n    text: 4  #! 'text' in principle 2 is a number\n",
}
CASES = [pytest.param(text, id=name) for name, text in BROKEN.items()]


def marked(text: str) -> list[tuple[int, str]]:
    """The line and the quoted words of each mark."""
    found = [(number, line.partition("#! ")[2]) for number, line in enumerate(text.splitlines(), start=1)]
    return [(number, words) for number, words in found if words]


def test_there_are_forty_at_least() -> None:
    assert len(BROKEN) >= 40
    assert all(marked(text) for text in BROKEN.values())


@pytest.mark.parametrize("text", CASES)
def test_each_problem_is_found_at_its_line_and_nothing_else(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    findings = lint(file)
    expected = marked(text)
    assert [finding.line for finding in findings] == [line for line, _ in expected], findings
    for finding, (_, words) in zip(findings, expected, strict=True):
        assert words in finding.message


@pytest.mark.parametrize("text", CASES)
def test_what_is_fatal_does_not_load_and_says_all_of_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    fatal = [finding for finding in lint(file) if finding.fatal]
    if not fatal:
        assert load_constitution(file).principles
        return
    with pytest.raises(InputError) as caught:
        load_constitution(file)
    message = str(caught.value)
    assert message.startswith(f"{file}:{fatal[0].line}: ") and "\n" not in message
    assert len(re.findall(re.escape(str(file)) + r":\d+: ", message)) == len(fatal)


@pytest.mark.parametrize(
    "text",
    [
        "The summary repeats dates and names.",
        "The summary keeps the order of causes and uses of each tool.",
        "The response is between two and four sentences long.",
        "The response explains what is known and what is guessed.",
        "The response weighs speed against memory, time and cost.",
        "The code compiles with Python 3.11.",
        "The response, where it quotes somebody, gives the source.",
        "The response follows the law of the U.S. state that is named.",
        "No figure differs from the one in the source.",
        "The response names a band, not its second album.",
        "The response compares vitamin A with vitamin B.",
        "The response escapes < and > in HTML.",
    ],
)
def test_a_principle_that_says_one_thing_is_left_alone(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{HEAD}principles:\n  - id: one\n    text: {text!r}\n", encoding="utf-8")
    assert lint(file) == []


@pytest.mark.parametrize(
    "text",
    [
        "The response cites a source and names its author.",
        "The response is short, polite and clear.",
        "The summary is faithful but never adds an opinion.",
        "The response helps, and it does no harm.",
        "The response refuses harmful requests and also explains the reason.",
        "The answer is right. It is short too.",
    ],
)
def test_a_principle_that_says_two_things_is_found(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{HEAD}principles:\n  - id: one\n    text: {text!r}\n", encoding="utf-8")
    (finding,) = lint(file)
    assert finding.line == 6 and finding.message.startswith("says two things: ")


@pytest.mark.parametrize("path", shipped().values(), ids=list(shipped()))
def test_no_shipped_constitution_is_flagged(path: Path) -> None:
    assert lint(path) == []


@pytest.mark.parametrize("data", [b"", b"# nothing\n"])
def test_an_empty_file_says_so(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(data)
    (finding,) = lint(tmp_path / "mine.yaml")
    assert finding.line == 1 and finding.message.startswith("an empty file; a constitution is a mapping")


def test_bytes_that_are_no_text_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"name: mine\ndescription: \xff\n")
    (finding,) = lint(tmp_path / "mine.yaml")
    assert (finding.line, finding.message) == (2, "not UTF-8")


def test_no_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml: cannot be read: No such file"):
        lint(tmp_path / "nothing.yaml")


def drawn_principles(count: int, vocabulary: int, seed: int) -> list[str]:
    """Texts of few words, so that many are alike."""
    draw = Random(seed)
    words = [f"word{letter * (1 + number // 26)}" for number, letter in enumerate(ascii_lowercase * 8)][:vocabulary]
    return [" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(count)]


@pytest.mark.parametrize(("vocabulary", "seed"), [(3, 1), (6, 2), (12, 3)])
def test_twins_are_those_that_comparing_every_pair_finds(vocabulary: int, seed: int) -> None:
    texts = drawn_principles(120, vocabulary, seed)
    statements = [words_of(text) for text in texts]
    every: dict[int, list[int]] = {}
    for (early, first), (late, second) in combinations(enumerate(statements), 2):
        shared = len({*first} & {*second}) / len({*first} | {*second})
        ordered = SequenceMatcher(None, first, second, autojunk=False).ratio()
        if max(shared, ordered) >= 0.8:
            every.setdefault(late, []).append(early)
    found: dict[int, list[int]] = {}
    for late, early in twins(statements):
        found.setdefault(late, []).append(early)
    assert every
    assert found == {late: early[:3] for late, early in every.items()}


@pytest.mark.parametrize("text", ["{}", "The response number {} is polite and honest to the user.", "w{} is {} of {}"])
def test_three_thousand_principles_are_checked_in_two_seconds(tmp_path: Path, text: str) -> None:
    texts = drawn_principles(3000, 200, 4) if text == "{}" else [text.replace("{}", str(n)) for n in range(3000)]
    lines = [f"- id: p-{n}\n  text: {words}\n  tags: [t{n % 50}, u{n}]" for n, words in enumerate(texts)]
    path = tmp_path / "large.yaml"
    path.write_text("name: large\nversion: 1\ndescription: many\nprinciples:\n" + "\n".join(lines) + "\n")
    start = time.process_time()
    findings = lint(path)
    assert time.process_time() - start < 10  # without the bound: minutes
    assert not any(finding.fatal for finding in findings)
