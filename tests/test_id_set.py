from judge.id_set import IdSet
from judge.records import content_id


def test_holds_what_was_put_in_and_nothing_else():
    ids = [content_id(number) for number in range(5_000)]
    held = IdSet()
    assert all(held.add(name) for name in ids[:4_000])
    assert not any(held.add(name) for name in ids[:4_000])
    assert len(held) == 4_000
    assert all(name in held for name in ids[:4_000])
    assert not any(name in held for name in ids[4_000:])


def test_ids_that_share_a_slot_stay_apart():
    # The last ten bits of the first 64 choose the slot of an empty set; these two differ only above them.
    one, other = f"{1 << 20:016x}".ljust(32, "0"), f"{1 << 30:016x}".ljust(32, "0")
    held = IdSet()
    assert held.add(one)
    assert other not in held
    assert held.add(other)
    assert one in held and other in held


def test_an_id_of_zero_bits_is_held_like_any_other():
    held = IdSet()
    assert "0" * 32 not in held
    assert held.add("0" * 32)
    assert "0" * 32 in held


def test_short_ids_of_hand_written_rows_stay_apart():
    held = IdSet()
    assert all(held.add(str(number)) for number in range(100))
    assert held.add("00") and not held.add("0")


def test_ids_of_32_characters_that_are_not_ours_stay_apart():
    """Numbers with zeros before them, and what int() reads as hexadecimal digits of 64 bits or fewer."""
    held = IdSet()
    assert all(held.add(f"{number:032}") for number in range(100))
    signs = [text.ljust(32, "0") for text in ("-1", "+1", " 1", "1_0", "1e", "\u0661")]
    assert all(held.add(text) for text in signs)
    assert all(text in held for text in signs) and len(held) == 106


def test_a_hundred_thousand_ids_take_eight_bytes_a_slot():
    held = IdSet()
    for number in range(100_000):
        held.add(content_id(number))
    assert len(held._slots) * held._slots.itemsize <= 8 * 3 * 100_000
