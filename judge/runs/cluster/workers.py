"""How many workers there may be: a number, or a range in which their number follows the work."""

from typing import NamedTuple

from judge.errors import ConfigError


class Workers(NamedTuple):
    """A range.

    Attributes:
        least: so many are kept up, whatever there is to do.
        most: so many are asked for while records wait.
    """

    least: int
    most: int

    @classmethod
    def of(cls, value: "int | str | tuple[int, int]") -> "Workers":
        """The range that `8`, `"8"`, `"2:8"` or `(2, 8)` means. Raises ConfigError for anything else."""
        parts = [str(part) for part in value] if isinstance(value, tuple) else str(value).split(":")
        try:
            least, most = int(parts[0]), int(parts[-1])
        except ValueError:
            least = most = 0
        if not (1 <= len(parts) <= 2 and 1 <= least <= most):
            text = ":".join(parts)
            raise ConfigError(f"workers '{text}' (accepted: a number from 1 on, or MIN:MAX such as 2:8)")
        return cls(least, most)
