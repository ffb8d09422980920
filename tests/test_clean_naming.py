"""What elements are by their names, however these are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean.naming import judged

PARTS = st.sampled_from(
    "ad ads- ad_ widget- d-none author-box post-meta 2 top stories newsletter cookie article body xa éd share".split()  # noqa: SIM905
)


@given(st.lists(st.tuples(PARTS, st.sampled_from(["", " ", "-", "_", "7", "é"])), max_size=6))
def test_names_of_small_letters_say_what_they_say_beside_a_capital(parts: list[tuple[str, str]]) -> None:
    names = "".join(name + sign for name, sign in parts)
    assert judged("div", names, "", "") == judged("div", f"{names} X", "", "")


@pytest.mark.parametrize("names", ["post-meta", "entry postMeta", "main Post_Meta", "POST-META"])
def test_a_pair_of_words_is_found_however_it_is_joined(names: str) -> None:
    assert judged("div", names, "", "")[0] == "named post-meta"


@pytest.mark.parametrize("names", ["post2meta", "post-2-meta", "postmeta"])
def test_what_a_number_divides_is_no_pair(names: str) -> None:
    assert judged("div", names, "", "") == ("", False)
