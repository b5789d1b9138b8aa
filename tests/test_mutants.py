"""The list of planted mistakes fits the code as it is, and says so by name where it does not."""

import re

import mutation
import pytest

from wdbench.errors import UserError

GROUPS = {"claims", "kernels", "metrics", "oracle", "penalties", "precision", "stats", "updates"}
ENTRY = '[[mutant]]\nid = "one"\nfile = "code.py"\nold = "a + b"\nnew = "{new}"\ntests = ["tests/test_code.py"]\n'


def entry(tmp_path, new="a - b", text=ENTRY):
    (tmp_path / "code.py").write_text("def f(a, b):\n    return a + b\n")
    (tmp_path / "list.toml").write_text(text.format(new=new))
    return mutation.load(tmp_path)[0]


def test_every_patch_of_the_list_applies():
    mutants = mutation.load()
    assert {one.group for one in mutants} == GROUPS and len(mutants) > 150
    for one in mutants:
        one.text()


def test_every_named_test_exists():
    for one in mutation.load():
        for test in one.tests:
            file, _, name = test.partition("::")
            text = (mutation.ROOT / file).read_text(encoding="utf-8")
            assert not name or re.search(rf"^def {re.escape(name.partition('[')[0])}\(", text, re.MULTILINE), (one.id, test)


def test_a_patch_changes_what_the_code_means(tmp_path):
    assert "return a - b" in entry(tmp_path).text(tmp_path)


@pytest.mark.parametrize("new, message", [("a +  b", "changes no code"), ("a +", "does not parse")])
def test_a_patch_without_effect_or_sense_is_refused(tmp_path, new, message):
    with pytest.raises(UserError, match=f"one: new: value .*{message}"):
        entry(tmp_path, new).text(tmp_path)


def test_a_stale_patch_is_refused_by_name(tmp_path):
    one = entry(tmp_path)
    (tmp_path / "code.py").write_text("def f(a, b):\n    return b + a\n")
    with pytest.raises(UserError, match="one: old: value 'a \\+ b': is in code.py 0 times"):
        one.text(tmp_path)


@pytest.mark.parametrize("text, message", [(ENTRY.replace("new =", "gnu ="), "field 'new'"), (ENTRY + "why = 'x'\n", "field 'why'"),
                                           (ENTRY + ENTRY, "id: value 'one'"), ("mutant", "cannot be read")])
def test_an_entry_that_is_not_as_told_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        entry(tmp_path, text=text)


def test_an_outcome_counts_only_for_the_file_and_the_tests_it_rests_on(tmp_path):
    one = entry(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_code.py").write_text("def test_f(): assert f(1, 2) == 3\n")
    before = one.digest(tmp_path)
    assert one.digest(tmp_path) == before
    (tmp_path / "tests" / "test_code.py").write_text("def test_f(): assert f(1, 2) == 4\n")
    assert one.digest(tmp_path) != before
