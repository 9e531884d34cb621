"""What is prepared lies on the disk: written once, whole or not at all, read by whoever learns from the same data."""

import errno
import gc
import json
import os
import resource
import signal
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from judge.errors import InputError, RmjudgeError, RunChangedError, RunError
from judge.judgements import Preference
from judge.records import Message, Pair
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator
from judge.rewards.data.examples import Labelled, examples
from judge.rewards.data.grouping import split
from judge.rewards.distill import distill
from judge.rewards.preparation import PreparedTraining, load_tokenizer, prepare
from judge.rewards.training.claim import FINGERPRINT
from judge.rewards.training.example_folder import ABOUT, EXAMPLES, example_folder
from judge.rewards.training.resume import STATE
from tests.rewards.test_distill import config
from tests.rewards.training.test_after_training import preferred_by, scored
from tests.rewards.training.test_loop import StopAt, outcomes, pairs, solutions

VERDICT = Preference(verdict="first", p_first=0.9)


def unread() -> Iterator[Labelled]:
    raise AssertionError("the data was read again")
    yield


def counted(rows: Iterable[Labelled], log: Path) -> Iterator[Labelled]:
    """The rows; a log says that they were read, and by which process."""
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    yield from rows


def parts(prepared: PreparedTraining) -> Any:
    every = (prepared.examples, prepared.validation, prepared.gate_pairs)
    return [list(part) for part in every], prepared.to_dict(), prepared.fingerprint()


def names(out: Path) -> set[str]:
    return {path.name for path in (out / STATE).iterdir()} if out.exists() else set()


@pytest.mark.parametrize(("kind", "labelled"), [("scalar", pairs), ("outcome", outcomes), ("process", solutions)])
def test_what_is_prepared_is_what_reading_into_lists_gives(kind: str, labelled: Any, llama: Path) -> None:
    """The former way: a list of examples, their tokens in memory, the split of the list."""
    prepared = prepare(labelled(40), config(llama, kind=kind))
    made, _ = examples(labelled(40), kind)
    collate = Collator(load_tokenizer(str(llama)), kind, 1024)
    training, held_out = split(collate.fit(made).examples, 0.3, prepared.config.split_seed)
    assert list(prepared.examples) == list(training) and list(prepared.validation) == list(held_out)
    assert prepared.tokens == sum(collate.lengths(training))
    assert repr(prepared.collate(prepared.examples[:5])) == repr(collate(training[:5]))


def test_the_same_data_is_read_from_the_disk(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    first = prepare(pairs(24), config(llama), out=out, source="x")
    assert names(out) == {EXAMPLES}
    again = prepare(unread(), config(llama, rate=1e-4), out=out, source="x")
    wanted, (examples_, figures, fingerprint) = parts(first), parts(again)
    assert examples_ == wanted[0] and figures == wanted[1]
    assert {name for name, value in fingerprint.items() if value != wanted[2][name]} == {"config"}
    for other in ({"max_length": 100}, {"kind": "ensemble"}):
        with pytest.raises(AssertionError, match="read again"):
            prepare(unread(), config(llama, **other), out=out, source="x")
    with pytest.raises(AssertionError, match="read again"):
        prepare(unread(), config(llama), out=out, source="y")


def test_a_gate_has_its_pairs_from_the_disk(llama: Path, tmp_path: Path) -> None:
    rows = scored(40)
    values = {"kind": "multi", "gated": True}
    first = prepare([*rows, *preferred_by(rows)], config(llama, **values), out=tmp_path / "model", source="x")
    again = prepare(unread(), config(llama, **values), out=tmp_path / "model", source="x")
    assert len(first.gate_pairs) > 0 and parts(first) == parts(again)


def test_an_interrupted_training_goes_on_with_the_examples_of_its_state(llama: Path, tmp_path: Path) -> None:
    out, chosen = tmp_path / "model", config(llama, save_every=1, batch=4)
    with pytest.raises(KeyboardInterrupt):
        distill(prepare(pairs(24), chosen, out=out, source="x"), out, StopAt(2))
    assert names(out) == {FINGERPRINT, "step-1", EXAMPLES}
    with pytest.raises(RunChangedError, match="the data is another"):
        prepare(pairs(25), chosen, out=out, source="y")
    assert names(out) == {FINGERPRINT, "step-1", EXAMPLES}
    prepared = prepare(unread(), chosen, out=out, source="x")
    done = distill(prepared, out)
    assert done is not None and done.to_dict()["resumed_from_step"] == 1
    assert not (out / STATE).exists()
    assert len(list(prepared.validation)) == done.to_dict()["validation_examples"]  # readable without a name


def test_a_training_that_an_earlier_version_began_is_refused_in_words(llama: Path, tmp_path: Path) -> None:
    out, chosen = tmp_path / "model", config(llama, save_every=1, batch=4)
    with pytest.raises(KeyboardInterrupt):
        distill(prepare(pairs(24), chosen, out=out), out, StopAt(2))
    plan = json.loads((out / STATE / FINGERPRINT).read_text())
    plan["data"] = plan.pop("examples")
    (out / STATE / FINGERPRINT).write_text(json.dumps(plan))
    with pytest.raises(RunChangedError, match="an earlier version began it"):
        prepare(pairs(24), chosen, out=out)


# ---- nothing stays ---------------------------------------------------------------------------------------------------


def test_what_is_never_trained_leaves_nothing(llama: Path, tmp_path: Path) -> None:
    out, mine = tmp_path / "model", tmp_path / "mine"
    mine.mkdir()
    for folder in (out, mine):
        prepared = prepare(pairs(24), config(llama), out=folder, source="x")
        assert (folder / STATE / EXAMPLES / ABOUT).is_file()
        del prepared
    assert [path.name for path in tmp_path.iterdir()] == ["mine"] and not list(mine.iterdir())


def test_examples_stay_while_another_training_uses_them(llama: Path, tmp_path: Path) -> None:
    """A notebook's cell that runs twice: the second trainer is made before the first goes."""
    out = tmp_path / "model"
    trainer = prepare(pairs(24), config(llama), out=out, source="x")
    trainer = prepare(unread(), config(llama), out=out, source="x")
    gc.collect()
    assert (out / STATE / EXAMPLES / ABOUT).is_file()
    trainer = prepare(pairs(25), config(llama), out=out, source="y")
    gc.collect()
    assert (out / STATE / EXAMPLES / ABOUT).is_file()
    del trainer
    gc.collect()
    assert not (out / STATE).exists()


def broken(count: int) -> Iterator[Labelled]:
    yield from pairs(count)
    raise InputError("pairs.jsonl:25: no row")


@pytest.mark.parametrize(
    ("labelled", "values", "said"),
    [
        (broken, {}, "no row"),
        ([(record, Preference(verdict="tie", p_first=0.5)) for record, _ in pairs(4)], {}, "all 4 pairs are ties"),
        (pairs(24), {"example_weights": "confidence", "class_balance": True}, "class_balance"),
        (scored(9), {"kind": "multi", "objectives": ("helb",)}, "did you mean 'help'"),
    ],
)
def test_what_is_refused_leaves_nothing(
    labelled: Any, values: dict[str, Any], said: str, llama: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for out in (tmp_path / "model", mine):
        rows = labelled(24) if callable(labelled) else labelled
        with pytest.raises(RmjudgeError, match=said):
            prepare(rows, config(llama, **values), out=out, source="x")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"] and not list(mine.iterdir())


def test_what_a_dry_run_writes_is_gone_at_once(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    prepared = prepare(pairs(24), config(llama))
    assert not list(tmp_path.iterdir())
    assert len(list(prepared.examples)) + len(list(prepared.validation)) == 24


# ---- kills, and several processes ------------------------------------------------------------------------------------


def forked(work: Any) -> int:
    """The id of a process that does some work and ends."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def dying(rows: Iterable[Labelled], count: int) -> Iterator[Labelled]:
    """The first rows; then the process that reads them is killed."""
    yield from islice(rows, count)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def quiet_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")


@pytest.mark.usefixtures("quiet_tokenizers")
def test_what_a_killed_process_wrote_is_written_anew(llama: Path, tmp_path: Path) -> None:
    """Killed at row 2,100: two thousand are tokenized and written by then."""
    out, log, rows = tmp_path / "model", tmp_path / "log", many(2_200)
    child = forked(lambda: prepare(dying(rows, 2_100), config(llama), out=out, source="x"))
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert names(out) == {"examples.new", "examples.lock"}
    assert (out / STATE / "examples.new" / "examples" / "rows.jsonl").stat().st_size > 100_000
    prepared = prepare(counted(rows, log), config(llama), out=out, source="x")
    assert log.read_text() == f"{os.getpid()}\n" and names(out) == {EXAMPLES}
    assert len(prepared.examples) + len(prepared.validation) == 2_200
    assert parts(prepared) == parts(prepare(rows, config(llama)))


def test_examples_without_their_name_are_not_taken_for_complete(llama: Path, tmp_path: Path) -> None:
    """Killed between the last byte and the new name."""
    out = tmp_path / "model"
    prepared = prepare(pairs(24), config(llama), out=out, source="x")
    (out / STATE / EXAMPLES).rename(out / STATE / "examples.new")
    with pytest.raises(AssertionError, match="read again"):
        prepare(unread(), config(llama), out=out, source="x")
    del prepared


def test_examples_that_a_killed_process_half_removed_are_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the first file of the examples is gone, whichever that is."""
    out = tmp_path / "model"

    def written(key: str) -> bool:
        with example_folder(out, key) as folder:
            if folder.about is not None:
                return False
            (folder.path / "part").mkdir(parents=True)
            folder.finish({})
        return True

    def killed(folder: Path, ignore_errors: bool = False) -> None:
        if folder.name == EXAMPLES:
            (folder / "part").rmdir()
            os._exit(9)

    assert written("a") and not written("a")
    monkeypatch.setattr("shutil.rmtree", killed)
    child = forked(lambda: written("b"))
    monkeypatch.undo()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (out / STATE / EXAMPLES / "part").exists()
    assert written("a") and (out / STATE / EXAMPLES / "part").is_dir()


@pytest.mark.usefixtures("quiet_tokenizers")
def test_of_several_processes_one_writes_and_the_others_read(llama: Path, tmp_path: Path) -> None:
    out, log, rows = tmp_path / "model", tmp_path / "log", pairs(200)
    kept = []

    def work() -> None:
        prepared = prepare(counted(rows, log), config(llama), out=out, source="x")
        kept.append(prepared)  # whoever wrote them removes them with it, as long as no training began
        (tmp_path / f"{os.getpid()}.json").write_text(json.dumps(prepared.fingerprint()))

    children = [forked(work) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 1
    fingerprints = [(tmp_path / f"{child}.json").read_text() for child in children]
    assert len(set(fingerprints)) == 1 and names(out) == {EXAMPLES}


def test_a_folder_waits_for_the_one_who_writes(tmp_path: Path) -> None:
    out, log = tmp_path / "model", tmp_path / "log"
    with example_folder(out, "key") as folder:
        child = forked(lambda: _told(out, log))
        folder.finish({"written": 1})
        assert not log.exists()
    assert os.waitpid(child, 0)[1] == 0
    assert log.read_text() == "{'written': 1, 'key': 'key'}"


def _told(out: Path, log: Path) -> None:
    with example_folder(out, "key") as folder:
        log.write_text(str(folder.about))


def full(out: Path, rows: list[Labelled], told: Path, backbone: Path) -> None:
    """Prepare where no file can have more than 100 KB, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        prepare(rows, config(backbone), out=out, source="x")
    except RmjudgeError as error:
        told.write_text(str(error))


@pytest.mark.usefixtures("quiet_tokenizers")
def test_a_full_disk_ends_in_a_line(llama: Path, tmp_path: Path) -> None:
    out, told = tmp_path / "model", tmp_path / "told"
    child = forked(lambda: full(out, many(1_200), told, llama))
    assert os.waitpid(child, 0)[1] == 0
    assert told.read_text() == f"{out}/state/examples.new/examples: cannot be written: File too large"
    assert not out.exists()


def test_a_disk_without_locks_keeps_nothing(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network disks have none; they cannot be made here."""

    def refused(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.lockf", refused)
    prepared = prepare(pairs(24), config(llama), out=tmp_path / "model", source="x")
    assert len(list(prepared.examples)) + len(list(prepared.validation)) == 24
    assert not (tmp_path / "model").exists()


def test_a_directory_that_cannot_be_made_is_named(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "model", Path("/proc/none/model")):
        with pytest.raises(RunError, match=f"{out}: cannot be written"):
            prepare(pairs(24), config(llama), out=out, source="x")


# ---- memory ----------------------------------------------------------------------------------------------------------


def many(count: int) -> list[Labelled]:
    return list(streamed(count))


def streamed(count: int) -> Iterator[Labelled]:
    """Pairs of some 400 characters."""
    for number in range(count):
        first, second = (
            (Message("assistant", f"{' '.join([word] * 40)} w{number % 50 + 10}"),) for word in ("w7", "w8")
        )
        prompt = (Message("user", f"w{number % 90 + 6} w{number // 90 % 90 + 6} w{number // 8100 + 6}"),)
        yield Pair(prompt=prompt, first=first, second=second), VERDICT


def test_memory_grows_by_some_bytes_an_example(llama: Path) -> None:
    """An example in memory took 3 KB, its tokens and its share of lists counted."""

    def measured(count: int) -> tuple[int, int]:
        tracemalloc.start()
        prepared = prepare(streamed(count), RewardConfig.of(backbone=str(llama), kind="scalar"))
        gc.collect()
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(prepared.examples) + len(prepared.validation) == count
        return held, peak

    measured(4_000)  # what is made once
    (few, few_peak), (more, more_peak) = measured(4_000), measured(12_000)
    assert (more - few) / 8_000 < 70
    assert (more_peak - few_peak) / 8_000 < 400
