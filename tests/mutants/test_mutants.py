"""The list of mutants is alive: each still has its place, and nothing else is changed by it."""

from __future__ import annotations

from collections import Counter

from tests.mutants import PROJECT, in_turn, listed


def test_each_mutant_has_exactly_one_place_and_changes_it() -> None:
    lost = []
    for mutant in listed():
        try:
            assert mutant.applied(PROJECT) != (PROJECT / mutant.file).read_text(encoding="utf-8")
        except (ValueError, AssertionError) as error:
            lost.append(f"{mutant.part}: {mutant.breaks}: {error}")
    assert lost == []


def test_mutants_are_told_apart_and_their_tests_are_there() -> None:
    mutants = listed()
    assert len(mutants) >= 60
    assert [rule for rule, count in Counter(mutant.breaks for mutant in mutants).items() if count > 1] == []
    files = {word for mutant in mutants for word in mutant.tests if word.endswith(".py")}
    assert {file for file in files if not (PROJECT / file).exists()} == set()


def test_in_time_each_mutant_has_its_turn() -> None:
    mutants = listed()
    assert in_turn(mutants, "one commit") == in_turn(mutants, "one commit") != in_turn(mutants, "another")
    had = {mutant for commit in range(500) for mutant in in_turn(mutants, f"commit {commit}")}
    assert had == {*mutants}
