"""Prompts: Jinja files with front matter that render to a conversation.

A prompt is a file `<task>/<name>.jinja`: YAML between `---` lines, then message blocks `{% system %}…{% endsystem %}`,
`{% user %}…{% enduser %}`, `{% assistant %}…{% endassistant %}` (prompt_body.py). Judged text passes through the
filter `frame("name")` (framing.py). docs/prompts.md says how to write one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any

from judge.errors import TemplateError, unknown
from judge.patterns import PatternTimeout, compile_pattern, find_all
from judge.prompting.body import compile_body
from judge.prompting.front_matter import Finding, Front, prompt_kind, prompt_tasks, take_apart
from judge.records import (
    Conversation,
    Message,
    Pair,
    Ranking,
    Record,
    Response,
    Solution,
    is_trajectory,
    response_of,
    spoken,
    turn_steps,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One prompt, ready to render; plain data, so it pickles and compares.

    labels: verdict -> the label that stands for it. verdict: a pattern with one group (beside an optional
    `(?P<step>…)`) that finds a label in the reply, "" when the label alone is asked for. choice_prefix: what stands
    right before the label in the reply. opening: what the reply begins with. defaults: the variables that may be left
    out. hash: of the file's bytes. language: what the reply is to be written in (see `in_language`), "" for none.
    """

    name: str
    task: str
    source: str
    hash: str
    body: str = field(repr=False)
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    variables: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    based_on: str = ""
    max_tokens: int = 1024
    choice_prefix: str = ""
    opening: str = ""
    language: str = ""

    def render(self, **variables: Any) -> Conversation:
        """The conversation for these variables; what the prompt did not declare is left aside. Raises TemplateError."""
        for name in self.variables:
            if name not in variables and name not in self.defaults:
                given = ", ".join(variables) or "none"
                raise TemplateError(f"{self.source}: variable '{name}' is not given (given: {given})")
        turns = compile_body(self.body, self.source).render({**self.defaults, **variables})
        return in_language(turns, self.language) if self.language else turns


LANGUAGE = "language.jinja"


@lru_cache(maxsize=1)
def language_request() -> tuple[str, str, str]:
    """The shipped text that asks for a language: its body, its file, and the hash of the file's bytes."""
    path = Path(str(files("judge.prompts"))) / LANGUAGE
    data = _bytes(path)
    return data.decode("utf-8"), str(path), blake2b(data, digest_size=16).hexdigest()


def in_language(turns: Conversation, language: str) -> Conversation:
    """A prompt that asks for its reply in a language: below its system message, which it gets where it has none.

    So the prompts' own files, and their hashes, are the same for every language.
    """
    body, path, _ = language_request()
    request = compile_body(body, path).render({"language": language})[0].content
    if turns[0].role != "system":
        return (Message("system", request), *turns)
    return (replace(turns[0], content=f"{turns[0].content}\n\n{request}"), *turns[1:])


def load_template(task: str, name_or_path: str) -> Template:
    """A shipped prompt by name (`default`, `preference/default`) or a file of one's own by its path.

    An empty task takes a prompt of any task. Raises TemplateError with `file:line` for a prompt that cannot work,
    UnknownNameError for a name that is not on offer.
    """
    if task and prompt_kind(task) is None:
        raise unknown("task", task, prompt_tasks())
    template = _read(locate(task, name_or_path))
    if task and template.task != task:
        raise TemplateError(f"{template.source}: a prompt for the task '{template.task}', not for '{task}'")
    return template


def list_templates(task: str = "") -> list[Template]:
    """The shipped prompts, by name; all of them or those of one task. Raises UnknownNameError for an unknown task."""
    tasks = {path.parent.name for path in shipped().values()}
    if task and task not in tasks:
        raise unknown("task", task, sorted(tasks))
    return [_read(path) for path in shipped().values() if task in ("", path.parent.name)]


def variables(record: Record) -> dict[str, Any]:
    """What a record hands to a prompt: its texts as a judge reads them."""
    prompt = spoken(record.prompt)
    match record:
        case Pair():
            return {"prompt": prompt, "first": spoken(record.first), "second": spoken(record.second)}
        case Response():
            steps = {"steps": list(turn_steps(record.response))} if is_trajectory(record.response) else {}
            return {"prompt": prompt, "response": spoken(record.response), "reference": record.reference, **steps}
        case Solution():
            whole = spoken(response_of(record))
            return {"prompt": prompt, "steps": list(record.steps), "response": whole, "reference": record.reference}
        case Ranking():
            return {"prompt": prompt, "responses": [spoken(response) for response in record.responses]}


def render_record(template: Template, record: Record) -> Iterator[Conversation]:
    """What a prompt makes of a record: one conversation, or one a step where the prompt asks for one step."""
    values = variables(record)
    if "index" not in template.variables:
        yield template.render(**values)
        return
    for index in range(len(values.get("steps", ())) or 1):
        yield template.render(**values, index=index)


def lint(path: str | Path) -> list[Finding]:
    """Everything that is wrong with a prompt file, at once, by line; not only what keeps it from loading."""
    front = take_apart(_bytes(Path(path)), str(path))
    if front.compiled is not None and not any(finding.fatal for finding in front.findings):
        _try_out(front)
    return sorted(front.findings, key=lambda finding: (finding.line, finding.message))


# What lint renders a prompt with: numbers that no prompt holds, so that each is found again wherever it comes out.
_SAMPLE: Mapping[str, Any] = {
    "prompt": "8190341",
    "first": "8190342",
    "second": "8190343",
    "response": "8190344",
    "critique": "8190345",
    "reference": "8190346",
    "steps": ["8190347", "8190348"],
    "responses": ["8190349", "8190350"],
}
_NOT_JUDGED: Mapping[str, Any] = {"index": 0, "criterion": "helpfulness", "rubric": "…", "low": 1, "high": 5}


def _try_out(front: Front) -> None:
    """Render with everything given, then with the optional variables at their defaults, and look at what comes out."""
    template = _template(front, front.path, "")
    full = {**dict.fromkeys(template.variables, "…"), **_NOT_JUDGED, **_SAMPLE}
    for values in (full, {name: value for name, value in full.items() if name not in template.defaults}):
        try:
            turns = template.render(**values)
        except TemplateError as error:
            line = re.match(r".*?:(\d+): ", str(error)[len(front.path) :])
            message = str(error)[len(front.path) :].removeprefix(line[0] if line else ": ")
            front.add(int(line[1]) if line else 1, message)
            return
        _look_at(front, template, turns)


def _look_at(front: Front, template: Template, turns: Conversation) -> None:
    assert front.compiled is not None
    said = {finding.message for finding in front.findings}
    outside = re.sub(r"<([a-z][a-z0-9_]*)>\n.*?\n</\1>", "", "\n".join(turn.content for turn in turns), flags=re.DOTALL)
    for name, value in _SAMPLE.items():
        bare = any(text in outside for text in ([value] if isinstance(value, str) else value))
        message = f"judged text '{name}' is used without a frame ({{{{ {name} | frame(\"{name}\") }}}})"
        if bare and message not in said:
            front.add(front.compiled.line_of_name(name), message, fatal=False)
    example = _example(front, template.verdict, outside) if template.verdict else None
    if example and not any("could be taken for a verdict" in message for message in said):
        written = front.text.find(example[0])
        line = front.text[:written].count("\n") + 1 if written >= 0 else front.lines.get("verdict", 1)
        front.add(line, f"the prompt's own words '{example[0]}' could be taken for a verdict", fatal=False)
    if any(turn.role == "system" for turn in turns[1:]) and "a system message that is not the first" not in said:
        front.add(1, "a system message that is not the first", fatal=False)


# What a pattern that goes back and forth takes long on: words, blanks, digits and brackets without an end.
_STRESS = ("a", " ", "1", "[", "[[", "\n", "a ", "b a", "1 ", "step 1 ")


def _example(front: Front, verdict: str, outside: str) -> re.Match[str] | None:
    """What the prompt's own words hold that reads as a verdict; notes a pattern that may take long on a reply."""
    compiled = compile_pattern(verdict)
    try:
        for text in dict.fromkeys((*_STRESS, *filter(str.isalnum, verdict))):
            find_all(compiled, (text * 2000)[:2000] + "!", seconds=0.1)
        return next(iter(find_all(compiled, outside)), None)
    except PatternTimeout:
        message = "'verdict' may take very long on a reply; repeats inside repeats, such as (a+)+, go back and forth"
        front.add("verdict", message, fatal=False)
        return None


@lru_cache(maxsize=1)
def shipped() -> dict[str, Path]:
    """The files of the shipped prompts, by name."""
    root = Path(str(files("judge.prompts")))
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(root.glob("*/*.jinja"))}


def locate(task: str, name: str) -> Path:
    """The file of a prompt: a shipped one by name, or a path."""
    full = name if "/" in name or not task else f"{task}/{name}"
    if full in shipped():
        return shipped()[full]
    if name.endswith(".jinja") or Path(name).is_file():
        return Path(name)
    raise unknown("prompt", full, [known for known in shipped() if known.startswith(f"{task}/" if task else "")])


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read: {error.strerror}") from None


def _read(path: Path) -> Template:
    data = _bytes(path)
    front = take_apart(data, str(path))
    fatal = [finding for finding in front.findings if finding.fatal]  # in the order of causes, not of lines
    if fatal:
        more = f" (and {len(fatal) - 1} more: rmjudge prompt lint {path})" if len(fatal) > 1 else ""
        raise TemplateError(f"{fatal[0].place}: {fatal[0].message}{more}")
    full = f"{path.parent.name}/{path.stem}"
    name = full if shipped().get(full) == path else path.name
    return _template(front, name, blake2b(data, digest_size=16).hexdigest())


def _template(front: Front, name: str, digest: str) -> Template:
    fields = {key: value for key, value in front.values.items() if key != "variables"}
    return Template(
        name=name,
        source=front.path,
        hash=digest,
        body=front.body,
        variables=front.variables,
        defaults=front.defaults,
        **fields,
    )
