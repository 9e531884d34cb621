import json

import pytest

from judge.errors import RunChangedError, RunError
from judge.runs.manifest import check_same, new_manifest, read_manifest, write_manifest

CONFIG = {
    "task": "steps",
    "prompt": {"name": "mine", "hash": "a1b2" * 8},
    "options": {"criteria": ("a", "b"), "seed": 0},
}


def test_what_was_written_is_read(tmp_path):
    assert read_manifest(tmp_path / "none") is None
    write_manifest(tmp_path, new_manifest(CONFIG))
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest["config"]["task"] == "steps"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_an_equal_configuration_goes_on(tmp_path):
    write_manifest(tmp_path, new_manifest(CONFIG))
    check_same(tmp_path, read_manifest(tmp_path) or {}, CONFIG)


def test_every_difference_is_shown(tmp_path):
    write_manifest(tmp_path, new_manifest(CONFIG))
    other = {
        "task": "steps",
        "prompt": {"name": "mine", "hash": "c3d4" * 8},
        "options": {"criteria": ["a", "c"], "seed": 1},
    }
    with pytest.raises(RunChangedError) as caught:
        check_same(tmp_path, read_manifest(tmp_path) or {}, other)
    said = str(caught.value)
    assert "options.criteria[1]: b → c; options.seed: 0 → 1; prompt.hash: a1b2a1b2 → c3d4c3d4. Repeat" in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": 3}', "\x00"])
def test_a_manifest_that_is_none_is_an_error(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=r"manifest\.json"):
        read_manifest(tmp_path)


def test_labels_without_a_manifest_are_nobodys_run(tmp_path):
    (tmp_path / "labels.jsonl").write_text("")
    assert read_manifest(tmp_path) is None  # a run that was killed in its first moment
    (tmp_path / "labels.jsonl").write_text(json.dumps({"id": "1"}))
    with pytest.raises(RunError, match="no manifest"):
        read_manifest(tmp_path)


def test_a_manifest_of_the_version_before_is_read(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"config": {"task": "steps"}, "goes": 3}))
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest["attempts"] == 3
    assert "goes" not in manifest
