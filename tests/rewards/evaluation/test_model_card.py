"""A model's card: what is on it, what is left out, and that data's words cannot break it."""

import re

import yaml

from judge.rewards.config import RewardConfig
from judge.rewards.evaluation.calibration import Calibration, CalibrationError
from judge.rewards.evaluation.model_card import model_card
from judge.rewards.registry import KINDS

ACCOUNT = {
    "labels": "judge",
    "examples": 1800,
    "validation_examples": 200,
    "prompts": 1000,
    "dropped": [{"reason": "verdict could not be read", "count": 12}],
    "steps": 225,
    "seconds": 61.5,
}


def made(config: RewardConfig | None = None, **given: object) -> str:
    return model_card(config or RewardConfig.of(backbone="org/model"), ACCOUNT, **given)  # type: ignore[arg-type]


def test_front_matter_is_what_the_hub_reads() -> None:
    front = yaml.safe_load(made().split("---")[1])
    assert front == {
        "library_name": "transformers",
        "tags": ["reward-model", "scalar", "rmjudge"],
        "base_model": "org/model",
        "pipeline_tag": "text-classification",
    }


def test_a_path_is_not_published() -> None:
    text = made(RewardConfig.of(backbone="/home/someone/models/tiny"))
    assert "/home/someone" not in text and "`tiny`" in text and "base_model" not in text


def test_every_kind_has_a_card() -> None:
    for kind in KINDS:
        assert f"# A reward model: {kind}" in made(RewardConfig.of(kind=kind, backbone="org/model"))
    assert "5 rewards for a response" in made(RewardConfig.of(kind="ensemble"))


def test_labels_and_what_was_left_out() -> None:
    text = made(parents=[{"kind": "run", "path": "runs/a", "hash": "b1946ac9", "counts": {"judged": 2012}}])
    assert "## Labels, by a judge" in text
    assert "| training examples | 1,800 |" in text
    assert "| left out: verdict could not be read | 12 |" in text
    assert "| run |  |" in text and "| hash | b1946ac9 |" in text and "| judged | 2,012 |" in text


def test_losses_and_settings_that_differ() -> None:
    text = made(RewardConfig.of(loss="focal", loss_arguments={"gamma": 1.0}, epochs=2, learning_rate=3e-4))
    assert "| loss | focal (gamma 1.0) |" in text
    assert "| epochs | 2 |" in text and "| learning_rate | 0.0003 |" in text
    assert "| warmup_ratio |" not in text and "| steps | 225 |" in text


def test_figures_with_their_intervals() -> None:
    calibration = Calibration(
        method="temperature",
        temperature=2.0,
        n=200,
        before=CalibrationError(0.1, 0.08, 0.12, 200),
        after=CalibrationError(0.02, 0.01, 0.05, 200),
    )
    text = made(validation={"accuracy": 0.912, "loss": 0.25}, calibration=calibration, figures={"longer_wins": 0.5})
    assert "| accuracy | 91.2% |" in text and "| loss | 0.25 |" in text
    assert "| calibration error as it was (ECE, 15 bins, 200 pairs) | 0.100 (0.080 to 0.120) |" in text
    assert "| calibration error out of fold, after calibration (T = 2) | 0.020 (0.010 to 0.050) |" in text
    assert "| longer wins | 50.0% |" in text


def test_a_figure_stands_once() -> None:
    text = made(validation={"accuracy": 0.9, "reward_mean": 0.1}, figures={"reward_mean": 0.1})
    assert text.count("reward mean") == 1


def test_red_flags_stand_first_or_none_was_found() -> None:
    text = made(flags=["extreme rewards: one is 5e+03"], validation={"accuracy": 0.9})
    assert "- **extreme rewards: one is 5e+03**" in text
    assert text.index("## Red flags") < text.index("## Figures")
    assert "None was found in 200 validation examples." in made(flags=[])


def test_none_is_not_said_where_nothing_was_examined() -> None:
    config = RewardConfig.of(backbone="org/model")
    assert "## Red flags\n\nNot examined." in made()
    for counts in ({**ACCOUNT, "validation_examples": 0}, {}):
        text = model_card(config, counts, flags=[])
        assert "## Red flags\n\nNot examined." in text and "None was found" not in text


def test_words_of_the_data_cannot_break_it() -> None:
    text = made(parents=[{"kind": "run", "path": "a|b\n# <script>x</script>", "hash": "`x` [y](z)"}])
    assert "<script>" not in text
    assert "| path | a\\|b # &lt;script&gt;x&lt;/script&gt; |" in text
    assert not re.search(r"^# &lt;", text, re.M)


def test_the_picture_stands_only_where_there_is_one() -> None:
    assert "](curves.svg)" in made(curves="curves.svg")
    assert "curves" not in made()


def test_an_adapter_that_others_misread_says_to_merge_it() -> None:
    text = made(loading="the base model's config names no padding token", name="reward")
    assert "**For other tools, merge it first:** the base model's config names no padding token." in text
    assert "`rmjudge export reward --out MERGED`" in text
    assert "merge it" not in made()
