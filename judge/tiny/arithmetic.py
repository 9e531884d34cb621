"""Integer expressions as token lists, and the one way in which the embedded judge works them out.

An expression is a list of ints, operators ("+", "-", "*"), brackets and capital letters. It is worked out by
rewriting: each line does one operation of the line before, so every line depends on its predecessor alone. That is
what makes it learnable by a very small model.
"""

import re
from collections.abc import Mapping

Token = int | str
Tokens = list[Token]
OPERATORS = ("+", "-", "*")
_PIECES = re.compile(r"\d+|[A-Z]|[()+*\-]")


def parse(text: str) -> Tokens:
    """Tokens of "(-9 - 5) * A"; a minus that touches a digit and follows no operand belongs to the number."""
    tokens: Tokens = []
    negative = False
    for match in _PIECES.finditer(text):
        piece = match.group()
        operand_before = bool(tokens) and (tokens[-1] == ")" or tokens[-1] not in ("(", *OPERATORS))
        if piece == "-" and not negative and not operand_before:
            negative = True
            continue
        if piece.isdigit():
            tokens.append(-int(piece) if negative else int(piece))
        else:
            tokens.append(piece)
        negative = False
    return tokens


def render(tokens: Tokens) -> str:
    """The text of an expression, one space around operators."""
    return "".join(f" {token} " if token in OPERATORS else str(token) for token in tokens)


def tidy(tokens: Tokens) -> Tokens:
    """Without unmatched brackets and without brackets around a single number or letter (outermost included)."""
    keep = [True] * len(tokens)
    open_places: list[int] = []
    for place, token in enumerate(tokens):
        if token == "(":
            open_places.append(place)
        elif token == ")":
            if open_places:
                open_places.pop()
            else:
                keep[place] = False
    for place in open_places:
        keep[place] = False
    result = [token for place, token in enumerate(tokens) if keep[place]]
    place = 0
    while place + 2 < len(result):
        if result[place] == "(" and result[place + 2] == ")":
            result[place : place + 3] = [result[place + 1]]
            place = max(place - 1, 0)
        else:
            place += 1
    return result


def innermost(tokens: Tokens) -> tuple[int, int]:
    """Half-open range between the first closing bracket and its partner; the whole when there is none."""
    if ")" not in tokens:
        return 0, len(tokens)
    end = tokens.index(")")
    start = end - 1
    while tokens[start] != "(":
        start -= 1
    return start + 1, end


def compute(left: int, operator: str, right: int) -> int:
    """One operation."""
    if operator == "+":
        return left + right
    return left - right if operator == "-" else left * right


def _digits_used(number: int) -> int:
    return sum(digit != "0" for digit in str(abs(number)))


def place_values(number: int) -> list[int]:
    """-308 -> [-300, -8]."""
    sign, text = (-1 if number < 0 else 1), str(abs(number))
    return [sign * int(digit) * 10 ** (len(text) - 1 - place) for place, digit in enumerate(text) if digit != "0"]


def operate(tokens: Tokens, place: int, *, long: bool = True) -> Tokens:
    """Do the operation at `place`, the first one of its bracket. Brackets that are left around one number go with it.

    `long`: an operation that is no fact of a small table is first spread over place values, the larger number first:
    47 - 85 becomes -85 + 40 + 7, and 47 * 35 becomes 47 * 30 + 47 * 5.
    """
    left, operator, right = tokens[place - 1], tokens[place], tokens[place + 1]
    assert isinstance(left, int) and isinstance(right, int) and isinstance(operator, str)
    before, after = tokens[: place - 1], tokens[place + 2 :]
    spread = _spread(left, operator, right) if long else None
    if spread is not None:
        alone = (not before or before[-1] == "(") and (not after or after[0] == ")")
        return before + (spread if alone or operator != "*" else ["(", *spread, ")"]) + after
    while before and after and before[-1] == "(" and after[0] == ")":
        before, after = before[:-1], after[1:]
    return [*before, compute(left, operator, right), *after]


def _spread(left: int, operator: str, right: int) -> Tokens | None:
    """The operation over place values; None when it is a fact.

    A fact is a digit (with zeros) added to a number that is not smaller, or a product of at most three digits in all.
    """
    if operator == "*":
        digits = sorted((_digits_used(left), _digits_used(right)))
        if digits[0] == 0 or digits in ([1, 1], [1, 2]):
            return None
        # The shorter number is spread when both are long, the longer one when the other is a single digit.
        shorter_left = _digits_used(left) < _digits_used(right)
        products: list[Tokens]
        if shorter_left == (digits[0] > 1):
            products = [[part, "*", right] for part in place_values(left)]
        else:
            products = [[left, "*", part] for part in place_values(right)]
        return [token for product in products for token in ("+", *product)][1:]
    signed = right if operator == "+" else -right
    if left == 0 or right == 0 or max(abs(left), abs(right)) < 10 or left == -signed:
        return None
    if abs(signed) > abs(left):
        first, second = signed, left
    elif _digits_used(right) < 2:
        return None
    else:
        first, second = left, signed
    sign = "+" if second > 0 else "-"
    return [first, *(token for part in place_values(abs(second)) for token in (sign, part))]


def next_operation(tokens: Tokens) -> int:
    """Place of the operator that comes first: innermost leftmost bracket, product before sum, left before right."""
    start, end = innermost(tokens)
    for place in range(start, end):
        if tokens[place] == "*":
            return place
    return start + 1


def rewrite(tokens: Tokens) -> list[Tokens]:
    """Every line of working an expression out, from itself to its value: (-9 - 5) * 2, -14 * 2, -28."""
    lines = [tokens]
    tidied = tidy(tokens)
    if tidied != tokens:
        lines.append(tidied)
    while len(lines[-1]) > 1:
        lines.append(operate(lines[-1], next_operation(lines[-1])))
    return lines


def value(tokens: Tokens) -> int:
    """The value of an expression without letters."""
    tokens = tidy(tokens)
    while len(tokens) > 1:
        tokens = operate(tokens, next_operation(tokens), long=False)
    (number,) = tokens
    assert isinstance(number, int)
    return number


def substitute(tokens: Tokens, values: Mapping[str, Tokens]) -> Tokens:
    """Each letter replaced by its tokens."""
    result: Tokens = []
    for token in tokens:
        result += values.get(token, [token]) if isinstance(token, str) else [token]
    return result
