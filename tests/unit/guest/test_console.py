"""What a guest says piece by piece is as harmless as all of it at once."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provisioner.errors import VmnetError
from provisioner.guest.console import Harmless, escape_byte
from provisioner.text import sanitize

pieces = st.lists(st.binary(max_size=8) | st.sampled_from([b"\r", b"\n", b"\xc3", b"\xa9", b"::"]))


@given(pieces)
@example([b"\r", b"\n", b"\n"])
def test_pieces_make_the_same_text_as_the_whole(said: list[bytes]) -> None:
    harmless = Harmless()
    text = "".join(harmless.text(piece) for piece in said) + harmless.text(b"", last=True)
    whole = b"".join(said).decode("utf-8", "replace")
    assert text == sanitize(whole.replace("\r\n", "\n").replace("\r", "\n"))


@given(pieces)
def test_with_a_mark_no_line_begins_with_anything_else(said: list[bytes]) -> None:
    harmless = Harmless("| ")
    text = "".join(harmless.text(piece) for piece in said) + harmless.text(b"", last=True)
    lines = text.split("\n")
    assert all(line.startswith("| ") for line in lines[:-1] + [x for x in lines[-1:] if x])


def test_the_key_that_leaves_is_written_as_people_do() -> None:
    keys = {words: escape_byte(words) for words in ("^]", "^a", "^A", "^_", "none")}
    assert keys == {"^]": b"\x1d", "^a": b"\x01", "^A": b"\x01", "^_": b"\x1f", "none": b""}


@pytest.mark.parametrize("words", ["", "^", "]", "^c", "^M", "^[", "^]]", "^1", "^é", "\x1b"])
def test_what_is_no_such_key_is_refused(words: str) -> None:
    with pytest.raises(VmnetError) as refused:
        escape_byte(words)
    assert refused.value.fix
