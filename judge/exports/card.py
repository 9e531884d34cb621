"""The card of exported data: where it comes from, who judged, what was left out. `datasets` reads its front matter."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from judge.exports.export import Exported, ExportOptions
    from judge.runs.reader import Run


def data_card(run: "Run", options: "ExportOptions", exported: "Exported") -> str:
    """The README.md of an export."""
    front = {
        "license": options.licence,
        "tags": ["rmjudge", exported.kind, options.to],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": name, "path": f"{name}.jsonl"} for name in ("train", "validation") if exported.rows[name]
                ],
            }
        ],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {run.directory.name}: {exported.kind} data",
        f"Made by `rmjudge export` for {options.to} from a run of the task `{run.task}`.",
        _table("What is in it", _contents(options, exported)),
        _table("Where it comes from", [*_source(run.manifest), ("licence", options.licence)]),
    ]
    return "\n\n".join(parts) + "\n"


def _contents(options: "ExportOptions", exported: "Exported") -> Iterator[tuple[str, str]]:
    for name in ("train", "validation"):
        yield f"rows of {name}", f"{exported.rows[name]:,}"
    yield "judged records", f"{exported.records:,}"
    yield "records whose verdict could not be read, left out", f"{exported.failures:,}"
    from judge.exports.export import REASONS

    for reason, count in sorted(exported.left_out.items()):
        yield f"left out: {REASONS[reason]}", f"{count:,}"
    yield "least margin", f"{options.margin}"
    yield "only where both orders agree", "yes" if options.agree else "no"
    if exported.kind == "preference" and options.to in ("nemo", "rmjudge"):
        yield "rows whose better response stands second", f"{exported.second:,}"
    yield "split", f"by prompt, {options.validation:.0%} held out, seed {options.seed}"


def _source(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    config = manifest["config"]
    yield "rmjudge", str(manifest.get("rmjudge") or "unknown")
    roles = {place: name for name, place in reversed((config.get("roles") or {}).items())}
    for number, engine in enumerate(config.get("judges", ())):
        yield roles.get(number, "judge"), _engine(engine)
    for name, prompt in (config.get("prompts") or {"prompt": config.get("prompt")}).items():
        if prompt:
            label = name if name == "prompt" else f"prompt: {name}"
            yield label, f"{prompt['name']} ({prompt['hash']})"
    constitution = config.get("constitution")
    if constitution:
        yield "constitution", f"{constitution['name']} ({constitution['hash']})"
    for name in ("loop", "options"):
        if config.get(name):
            yield name, f"`{json.dumps(config[name], ensure_ascii=False)}`"
    for entry in config.get("data", ()):
        yield "data", str(entry.get("name") or _content(entry))
    yield "run", f"begun {manifest.get('started')}, finished {manifest.get('finished') or 'not yet'}"


def _content(entry: Mapping[str, Any]) -> str:
    """Data that is named by its content: the bytes of a file, or rows in memory."""
    unit = "bytes" if "bytes" in entry else "rows"
    return f"{entry[unit]:,} {unit} ({entry['hash']})"


def _engine(engine: Mapping[str, Any]) -> str:
    names = ("engine", "model", "revision")
    return " ".join(str(engine[name]) for name in names if engine.get(name))


def _table(title: str, lines: Any) -> str:
    cells = [(name, value.replace("|", "\\|").replace("\n", " ")) for name, value in lines]
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells)])
