"""Values for hypothesis to draw, from the whole model, and what "the same" means for them."""

from __future__ import annotations

import math
import struct
from typing import Any

from hypothesis import strategies as st

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "$bytes",
        "item",
        "xml",
        "a b",
        "\r\n",
        "\0",
        "\ufffe",
        "]]>",
        " x ",
        "",
        "a:b",
        "@a",
        "#text",
        "\u2028",
        "é",
    ]
)
integers = st.integers() | st.integers(-(10**3000), 10**3000)
hashables: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | integers
    | st.floats(allow_nan=False)
    | text
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | st.floats() | text | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(hashables, max_size=4)
        | st.frozensets(hashables, max_size=4)
        | st.dictionaries(text, inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
    ),
    max_leaves=12,
)


def spelled(value: Any) -> Any:
    """``value`` such that == is: same types, order of keys, bits of floats; nan equals itself, 1 is
    not True.
    """
    kind = type(value)
    if kind is float:
        return "float", "nan" if math.isnan(value) else struct.pack(">d", value)
    if kind is list or kind is tuple:
        return kind.__name__, [spelled(item) for item in value]
    if kind is set or kind is frozenset:
        return kind.__name__, sorted((spelled(item) for item in value), key=repr)
    if kind is dict:
        return "dict", [(spelled(key), spelled(item)) for key, item in value.items()]
    return kind.__name__, value
