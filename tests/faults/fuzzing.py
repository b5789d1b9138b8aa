"""Bad input by the thousand: how a tree of YAML is damaged, and what a program may do with it."""

import copy
import faulthandler
import os
import random
import signal
import string
import sys
from contextlib import contextmanager

from hypothesis import strategies as st

LONGEST = 5.0
"""Seconds that one input may take."""

PLANTED = [None, True, -7, 10**25, float("nan"), float("inf"), "", " ", "planted", "1e-4", "../../etc/passwd", "\x00", "é!",
           "__import__('os').system('true')", "!!python/name:os.system", [], {"planted": 1}]
"""Values that few fields take, to be put into one field at a time."""

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


class Hang(BaseException):
    """No Exception: the code under test may catch those."""


@contextmanager
def within(seconds=LONGEST):
    """Fails what takes longer. Code outside of Python that does not come back at all ends the process, with a trace of where it is."""

    def late(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(12 * seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    except Hang:
        raise AssertionError(f"an input took more than {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


@st.composite
def planted(draw, tree):
    """(`tree` with one value replaced, that value, the keys that lead to it)."""
    tree = copy.deepcopy(tree)
    path = draw(st.sampled_from(list(paths(tree))[1:]))
    value = draw(st.sampled_from(PLANTED))
    parent = tree
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return tree, value, path


def hurt(content: bytes, seed: int) -> bytes:
    """Bytes with up to four places changed, cut off or grown; never the same ones."""
    draw, found = random.Random(seed), bytearray(content)
    for _ in range(draw.randint(1, 4)):
        match draw.randint(0, 2):
            case 0 if found:
                found[draw.randrange(len(found))] ^= draw.randint(1, 255)
            case 1 if found:
                del found[draw.randrange(len(found)):]
            case _:
                found += bytes(draw.randrange(256) for _ in range(draw.randint(1, 20)))
    return bytes(found) if bytes(found) != content else content + b"\0"
