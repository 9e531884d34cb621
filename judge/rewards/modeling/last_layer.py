"""The last layer, computed only where a head reads.

    T tokens, R rows that are read, H width.

Nothing looks at the last layer's other rows, so its queries, its attention's output and its feed-forward part are
computed for the read rows alone; keys and values still need all. Numbers and gradients stay the same. Whether a
backbone is built so that this holds is tried (backbone.py).
"""

from typing import Any

from torch import Tensor, nn

PARTS = {"mlp", "q_proj", "o_proj"}  # modules of a layer that work row by row


class LastLayerRows:
    """Hooks on the last layer's parts; `rows` (R,) are read, `length` is T; None computes all."""

    def __init__(self, backbone: Any) -> None:
        self.rows: Tensor | None = None
        self.length = 0
        self.layer_count = int(getattr(backbone.config.get_text_config(), "num_hidden_layers", 0))
        self._hooks = []
        for part in self._parts(backbone):
            self._hooks.append(part.register_forward_pre_hook(self._before))
            self._hooks.append(part.register_forward_hook(self._after))

    def set(self, rows: Tensor | None, length: int = 0) -> None:
        """Which rows the next forward needs; all where these are most of them."""
        self.rows = rows if rows is not None and 2 * len(rows) < length else None
        self.length = length

    def remove(self) -> None:
        """Compute all rows from now on."""
        self.rows = None
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _parts(self, backbone: Any) -> list[nn.Module]:
        stacks = [
            module
            for module in backbone.modules()
            if isinstance(module, nn.ModuleList) and len(module) == self.layer_count
        ]
        if len(stacks) != 1:
            return []
        return [part for name, part in stacks[0][-1].named_modules() if name.split(".")[-1] in PARTS]

    def _before(self, module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """(1, T, H) -> (1, R, H)."""
        if self.rows is None or not arguments or arguments[0].shape[:2] != (1, self.length):
            return None
        return (arguments[0].index_select(1, self.rows), *arguments[1:])

    def _after(self, module: nn.Module, arguments: tuple[Any, ...], out: Tensor) -> Tensor | None:
        """(1, R, X) -> (1, T, X), 0 in rows that are not read."""
        if self.rows is None or not arguments or arguments[0].shape[1] != len(self.rows):
            return None
        return out.new_zeros(1, self.length, out.shape[-1]).index_copy(1, self.rows, out)
