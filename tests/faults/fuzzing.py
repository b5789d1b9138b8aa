"""Bad input by the thousand: how a tree of YAML is damaged, and what a program may do with it."""

import copy
import os
import string

from hypothesis import strategies as st

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**25), 10**25), st.floats(), st.text(max_size=30),
    st.sampled_from(["", " ", "nan", "1e-4", "../../etc/passwd", "khan:n=-1", "mlp:depth=", "l2", "sgd", "digits:n=300,label_noise=2",
                     "__import__('os').system('true')", "dataset == ", "a" * 5000, "\x00", "é", "${HOME}", "{{ x }}",
                     "!!python/name:os.system"]),
    st.lists(st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=5)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(-3, 3), max_size=2),
)
"""Values that a field may be handed: of the wrong type, out of range, code, paths, names of other fields."""

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
WORDS = st.lists(
    st.one_of(st.sampled_from(
        "dataset penalty lambda optimiser replicate status test_loss == != < <= > >= in not and or ( ) [ ] , \"khan\" 'l2' 1 1e-4 0.5 -3 "
        "True None . : ** // lambda: __class__ import ; \\ # \" '".split()), st.text(alphabet=string.printable, max_size=4)),
    max_size=14).map(" ".join)


def paths(tree, here=()):
    """Every path into a tree of mappings and lists."""
    yield here
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from paths(value, (*here, key))
    elif isinstance(tree, list):
        for place, value in enumerate(tree):
            yield from paths(value, (*here, place))


@st.composite
def damaged(draw, tree, at_most=3):
    """`tree` with up to three places replaced, removed, or given a neighbour that does not belong there."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, at_most))):
        path = draw(st.sampled_from(list(paths(tree))[1:]))
        parent = tree
        for step in path[:-1]:
            parent = parent[step]
        what = draw(st.sampled_from(("replace", "remove", "add")))
        if what == "replace":
            parent[path[-1]] = draw(JUNK)
        elif what == "remove":
            del parent[path[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=10))] = draw(JUNK)
        else:
            parent.insert(path[-1], draw(JUNK))
        if not list(paths(tree))[1:]:
            break
    return tree


def count(default: int) -> int:
    """How many inputs to try: WDBENCH_FUZZ times as many as `default` (1 in `make test`, more in `make test-faults`)."""
    return default * int(os.environ.get("WDBENCH_FUZZ", "1"))
