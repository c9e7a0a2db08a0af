"""Messages on the terminal: an error in one line."""

from triptych.core.messages import LONGEST, one_line


def test_a_long_message_ends_after_a_word_with_an_ellipsis() -> None:
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(ValueError()) == "ValueError"
    assert one_line(ValueError("x" * LONGEST)) == "x" * LONGEST
    found = one_line(ValueError("Tried http://yann.lecun.com/exdb/mnist/, got: " + "word " * 50))
    assert found.endswith("word word ...")
    assert len(found) <= LONGEST + 4
