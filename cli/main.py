"""The `rmjudge` command: a table of verbs, and the one place where an error becomes a line and an exit code.

A verb's module is imported when the verb is used, so that `rmjudge --help` loads none of them. Exit codes: 0 done,
1 a finding or the cost limit, 2 the user's mistake, 130 an interrupt.
"""

import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from judge import CostLimitError, RmjudgeError, unknown
from judge.cli.drawing import say

LONGEST = 2000
"""Characters of an error's line."""


class Verb(NamedTuple):
    """Where a verb lives and what it does in one line; a group has verbs of its own."""

    module: str
    help: str
    group: bool


VERBS = {
    "label": Verb("judge.cli.label", "Judge the rows of a data file and write the verdicts to a run directory.", False),
    "merge": Verb("judge.cli.merge", "Join the shards of a run into one.", False),
    "agree": Verb("judge.cli.agree", "Say whether judges or reward models can stand in for people.", False),
    "audit": Verb("judge.cli.audit", "Change what should not matter and see whether verdicts move.", False),
    "revise": Verb("judge.cli.revise", "Answer, criticise and revise; keep what a referee finds better.", False),
    "export": Verb("judge.cli.export", "Turn a run into training data for TRL, OpenRLHF, NeMo-RL and others.", False),
    "distill": Verb("judge.cli.distill", "Train a reward model on labels.", False),
    "score": Verb("judge.cli.score", "Score the rows of a data file with a reward model.", False),
    "calibrate": Verb(
        "judge.cli.rewards.calibrate", "Fit the probabilities of a run or a reward model to people's labels.", False
    ),
    "serve": Verb("judge.cli.rewards.serve", "Serve rewards of models and judges over HTTP.", False),
    "best-of": Verb(
        "judge.cli.rewards.best_of", "Choose the best of n responses by a reward, and say what it is worth.", False
    ),
    "iterate": Verb(
        "judge.cli.rewards.iterate", "Improve a policy in rounds of sampling, labelling and distilling.", False
    ),
    "robustness": Verb(
        "judge.cli.rewards.robustness", "Say what other data, length and edits do to a reward model's rewards.", False
    ),
    "data": Verb("judge.cli.data", "Show what a data file holds and what is wrong with it.", True),
    "constitution": Verb("judge.cli.constitution", "Write, check and try out the principles a judge is held to.", True),
    "rubric": Verb("judge.cli.rubrics.rubric", "Write, check and try out the criteria answers are judged by.", True),
    "prompt": Verb("judge.cli.prompt", "List, show, render and check the prompts a judge is given.", True),
    "tiny": Verb("judge.cli.tiny", "Make problems with known truth for the embedded judge; show its card.", True),
}


class _Verbs(TyperGroup):
    """The table of verbs; each is loaded when it is called, and only then."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What `--help` needs of a verb: its name and its line."""
        if cmd_name not in VERBS:
            return None
        return TyperCommand(cmd_name, help=VERBS[cmd_name].help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb itself, for a call."""
        name, *rest = args
        if name not in VERBS:
            raise unknown("command", name, VERBS)
        verbs = import_module(VERBS[name].module).app
        command = get_group(verbs) if VERBS[name].group else get_command(verbs)
        command.name = name
        return name, command, rest


app = typer.Typer(
    cls=_Verbs,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Label text with language model judges, and train reward models on the labels.",
)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"rmjudge {version('rmjudge')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)]


@app.callback()
def _root(version: Version = False) -> None:
    """Label text with language model judges, and train reward models on the labels."""


def run() -> None:
    """The entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets every word
    sys.exit(main(sys.argv[1:]))


def main(args: list[str]) -> int:
    """Run a command line; its exit code."""
    try:
        return _exit_code(app(args, prog_name="rmjudge", standalone_mode=False))
    except CostLimitError as error:
        _refuse(str(error))
        return 1
    except RmjudgeError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted", error=True)
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`): nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        # Click's own errors (a wrong option, a missing argument); typer carries its own copy of click, so by shape.
        if not hasattr(error, "format_message"):
            raise
        message, context = error.format_message(), getattr(error, "ctx", None)
        return _refuse(f"{message} See `{context.command_path} --help`." if context else message) if message else 2


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) else 0


def _refuse(message: str) -> int:
    # One line; a list of wrong rows goes on below it, indented. Names from data may be as long as a book.
    lines = (_cut(" ".join(line.split())) for line in message.split("\n  "))
    say("rmjudge: " + "\n  ".join(lines), error=True)
    return 2


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"


if __name__ == "__main__":
    run()
