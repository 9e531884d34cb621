"""What published reward models need besides transformers' own classes: a small table, each entry with its source.

RewardBench (allenai/reward-bench, `rewardbench/models/__init__.py`) keeps such a table, too. Most models need nothing:
a class of transformers, their tokenizer's chat template, one begin-of-text token, the raw logit as the reward.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple


class Maker(NamedTuple):
    """A head that no class of transformers has, and how texts are written for it.

    Attributes:
        head: where the names of its tensors begin; numbered layers have ReLU between them.
        template: a Jinja chat template, taken where the tokenizer has none.
        sign: -1 where the model gives a cost.
        model_type: of the backbone, where the config names one that transformers does not know.
        source: where this is written.
    """

    head: str
    template: str = ""
    sign: float = 1.0
    model_type: str = ""
    source: str = ""


def _turns(user: str, assistant: str, *, before: str = "") -> str:
    """A template that puts each turn between fixed words; an empty last assistant turn asks for a reply."""
    return (
        f"{{{{ bos_token }}}}{before}{{% for message in messages %}}{{% if message['role'] == 'assistant' %}}"
        + assistant.format("{{ message['content'] }}")
        + "{% else %}"
        + user.format("{{ message['content'] }}")
        + "{% endif %}{% endfor %}{% if add_generation_prompt %}"
        + assistant.partition("{}")[0]
        + "{% endif %}"
    )


MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "LlamaRewardModel": Maker(
            "regression_head",
            _turns("Human: {}\n\n", "Assistant: {}"),
            source="card of openbmb/UltraRM-13b; rewardbench/models/openbmb.py",
        ),
        "EurusRewardModel": Maker(
            "regression_head",
            _turns("[INST] {} [\\INST] ", "{}"),
            source="card of openbmb/Eurus-RM-7b; rewardbench/models/openbmb.py",
        ),
        "LlamaForScore": Maker(
            "score_head",
            _turns("USER: {} ", "ASSISTANT:{}", before="BEGINNING OF CONVERSATION: "),
            source="cards of PKU-Alignment/beaver-7b-*; rewardbench/models/beaver.py",
        ),
        "GPTNeoXRewardModel": Maker(
            "out_proj",
            _turns("<|prompter|>{}<|endoftext|>", "<|assistant|>{}<|endoftext|>").removeprefix("{{ bos_token }}"),
            model_type="gpt_neox",
            source="cards of OpenAssistant/oasst-rm-*-pythia-*; rewardbench/models/openassistant.py",
        ),
    }
)
"""By the class that config.json names under `architectures`."""

VALUE_HEAD = Maker("v_head.summary", source="Ray2333/GRM-*; rewardbench/models/grm.py")
"""Of a config with `vhead_layer_type`."""

PROCESS_ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "Qwen2ForProcessRewardModel": "qwen",  # Qwen/Qwen2.5-Math-PRM-7B, config.json
        "Qwen2ForPrmModel": "skywork",  # Skywork/Skywork-o1-Open-PRM-Qwen-2.5-*, config.json
    }
)
"""The convention of a process model by its class."""

PROCESS_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "peiyi9979/math-shepherd-mistral-7b-prm": "math-shepherd",
        "RLHFlow/Llama3.1-8B-PRM-*": "rlhflow",
        "Qwen/Qwen2.5-Math-*PRM*": "qwen",
        "Skywork/Skywork-o1-Open-PRM-*": "skywork",
    }
)
"""The convention of a process model by its name on the hub: a language model alone does not show that it is one."""


def process_convention(name: str, architecture: str) -> str:
    """The convention that a name on the hub or a class stands for, "" for none."""
    by_name = (convention for pattern, convention in PROCESS_NAMES.items() if fnmatchcase(name, pattern))
    return PROCESS_ARCHITECTURES.get(architecture) or next(by_name, "")
