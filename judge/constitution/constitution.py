"""Constitutions: principles that a judge is held to, and the rule by which they are drawn.

A constitution is a YAML file; the shipped ones lie in `constitutions/`. docs/constitutions.md says how to write one.
(This module is not called `constitutions`: the folder of the shipped files installs under that name.)
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any

from judge.constitution.parser import Draft, take_apart
from judge.constitution.yaml_entries import Entry
from judge.errors import InputError, unknown
from judge.records import Message, Pair, PairVerdict, content_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Two responses to a prompt, and which of them a principle prefers: a unit test of the principle."""

    prompt: str
    first: str
    second: str
    verdict: PairVerdict

    @property
    def pair(self) -> Pair:
        """The example as a record that can be judged."""
        return Pair(
            prompt=(Message("user", self.prompt),),
            first=(Message("assistant", self.first),),
            second=(Message("assistant", self.second),),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Principle:
    """One testable statement about a good response.

    critique_request, revision_request: how a critic and an author are asked about it, "" for what follows from `text`.
    weight: how much it counts beside the others; only the ratios matter.
    """

    id: str
    text: str
    critique_request: str = ""
    revision_request: str = ""
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which principles are drawn: those with one of `tags` (all without any), `count` of them at random (None: all)."""

    count: int | None = None
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        tags = f"with tag {' or '.join(self.tags)}" if self.tags else ""
        return f"{self.count or 'all'}{' at random' if self.count else ''} {tags}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Constitution:
    """Principles under a name, and how they are drawn. source: the file it was read from."""

    name: str
    principles: tuple[Principle, ...]
    version: str = ""
    description: str = ""
    based_on: str = ""
    sampling: Sampling = Sampling()
    source: str = ""

    @property
    def hash(self) -> str:
        """32 hexadecimal digits from all that can change a verdict: the principles without their examples, and the
        sampling rule. Names, descriptions and comments may be mended without a run becoming another one.
        """
        principles = [[p.id, p.text, p.critique_request, p.revision_request, p.weight, p.tags] for p in self.principles]
        return content_id("constitution", principles, self.sampling.count, self.sampling.tags)

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        row = asdict(self)
        principles = row.pop("principles")
        return {**row, "hash": self.hash, "principles": principles}

    def principle(self, name: str) -> Principle:
        """A principle by its id; UnknownNameError when there is none."""
        for principle in self.principles:
            if principle.id == name:
                return principle
        raise unknown("principle", name, [principle.id for principle in self.principles])

    def draw(self, seed: int, key: str = "", *, count: int | None = None) -> tuple[Principle, ...]:
        """The principles for one occasion, by the sampling rule; `count` overrides how many.

        `key` names the occasion (a record's id, a round). With a count the principles come in the order of their lots,
        each lot a hash of seed, key and id: the same on every machine, and a principle that is added to the file moves
        no other one's lot. Without a count all come, in the order of the file.
        """
        tags = set(self.sampling.tags)
        offered = [principle for principle in self.principles if not tags or tags & set(principle.tags)]
        wanted = self.sampling.count if count is None else count
        if wanted is None:
            return tuple(offered)
        return tuple(sorted(offered, key=lambda principle: _lot(seed, key, principle.id))[:wanted])

    def only(self, *ids: str) -> "Constitution":
        """The same constitution with these principles alone, all of them asked."""
        return replace(self, principles=tuple(self.principle(name) for name in ids), sampling=Sampling())

    def without(self, name: str) -> "Constitution":
        """The same constitution with one principle left out, all others asked."""
        self.principle(name)
        return self.only(*(principle.id for principle in self.principles if principle.id != name))


def load_constitution(name_or_path: str | Path) -> Constitution:
    """A shipped constitution by its name, or a file of one's own by its path.

    Raises InputError that names everything that is wrong, each with its line; UnknownNameError for an unknown name.
    """
    draft, constitution = read_draft(locate(name_or_path))
    if constitution is None:
        fatal = [finding for finding in draft.findings if finding.fatal]
        raise InputError("; ".join(f"{finding.place}: {finding.message}" for finding in fatal))
    return constitution


def list_constitutions() -> list[Constitution]:
    """The shipped constitutions, by name."""
    return [load_constitution(path) for path in shipped().values()]


def read_draft(path: Path) -> tuple[Draft, Constitution | None]:
    """A file taken apart, and its constitution, None where a finding is fatal. Raises InputError without a file."""
    return _read(path, ())


def skeleton() -> str:
    """The text of a constitution to begin with, every key explained."""
    return (Path(str(files("judge.constitutions"))) / "_skeleton.yaml").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def shipped() -> dict[str, Path]:
    """The files of the shipped constitutions, by name."""
    root = Path(str(files("judge.constitutions")))
    return {path.stem: path for path in sorted(root.glob("[!_]*.yaml"))}


def locate(name_or_path: str | Path) -> Path:
    """The file of a constitution: a shipped one by name (blanks and case do not matter), or a path."""
    name = str(name_or_path)
    plain = "-".join(name.casefold().replace("_", " ").replace("-", " ").split())
    if plain in shipped():
        return shipped()[plain]
    if name.endswith((".yaml", ".yml")) or Path(name).is_file():
        return Path(name)
    raise unknown("constitution", name, shipped())


def _read(path: Path, above: tuple[Path, ...]) -> tuple[Draft, Constitution | None]:
    """Read a file and those it includes; `above` are the files that include this one."""
    try:
        draft = take_apart(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    principles = [_principle(entry) for entry in draft.principles if {"id", "text"} <= entry.values.keys()]
    owner = {principle.id: "this file" for principle in principles}
    for name, line in draft.top.values.get("include", ()):
        for principle in _included(draft, name, line, (*above, path.resolve())):
            if principle.id in owner:
                draft.add(line, f"id '{principle.id}' of '{name}' is taken by {owner[principle.id]}")
            else:
                owner[principle.id] = f"'{name}'"
                principles.append(principle)
    sampling = _sampling(draft, principles)
    draft.findings.sort(key=lambda finding: finding.line)
    if any(finding.fatal for finding in draft.findings):
        return draft, None
    texts = {key: draft.top.values.get(key, "") for key in ("name", "version", "description", "based_on")}
    return draft, Constitution(principles=tuple(principles), sampling=sampling, source=str(path), **texts)


def _included(draft: Draft, name: str, line: int, above: tuple[Path, ...]) -> Iterator[Principle]:
    """The principles of a constitution that a file includes: a shipped one, or a file beside it."""
    path = Path(draft.path).parent / name if name.endswith((".yaml", ".yml")) else shipped().get(name)
    if path is None:
        draft.add(line, str(unknown("constitution", name, shipped())))
    elif path.resolve() in above:
        draft.add(line, f"'{name}' includes this file again")
    else:
        try:
            inner, included = _read(path, above)
        except InputError as error:
            draft.add(line, str(error))
            return
        if included is None:
            first = next(finding for finding in inner.findings if finding.fatal)
            draft.add(line, f"'{name}' cannot be included: {first.place}: {first.message}")
        else:
            yield from included.principles


def _principle(entry: Entry) -> Principle:
    plain: dict[str, Any] = {key: entry.values[key] for key in entry.values.keys() - {"tags", "examples"}}
    tags = tuple(name for name, _ in entry.values.get("tags", ()))
    complete = [example.values for example in entry.values.get("examples", ()) if len(example.values) == 4]
    return Principle(tags=tags, examples=tuple(Example(**values) for values in complete), **plain)


def _sampling(draft: Draft, principles: list[Principle]) -> Sampling:
    """The sampling rule; a tag that no principle has and a count above what there is are noted."""
    rule = draft.sampling
    if rule is None:
        return Sampling()
    known = {tag for principle in principles for tag in principle.tags}
    tags = tuple(name for name, _ in rule.values.get("tag", ()))
    for name, line in rule.values.get("tag", ()):
        if name not in known:
            draft.add(line, f"no principle has the tag '{name}' (tags: {', '.join(sorted(known)) or 'none'})")
    offered = sum(1 for principle in principles if not tags or set(tags) & set(principle.tags))
    count = rule.values.get("random")
    if count is not None and count > offered and set(tags) <= known:
        draft.add(rule.at("random"), f"{count} principles at random of {offered}")
    return Sampling(count=count, tags=tags)


def _lot(seed: int, key: str, name: str) -> bytes:
    return blake2b(f"{seed}/{key}/{name}".encode(), digest_size=8).digest()
