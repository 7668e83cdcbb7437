from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.resolution.solver import Nogood, Solver, Unsatisfiable

DOMAINS = {"p": 0b111, "q": 0b1111, "r": 0b11, "s": 0b111}

nogoods = st.lists(
    st.dictionaries(
        st.sampled_from(sorted(DOMAINS)), st.integers(1, 15), min_size=1, max_size=3
    ),
    max_size=25,
)


def solver_with(terms: list[dict[str, int]]) -> Solver[int]:
    solver: Solver[int] = Solver()
    for variable, domain in DOMAINS.items():
        solver.add_variable(variable, domain)
    for number, nogood in enumerate(terms):
        solver.add_nogood({k: v & DOMAINS[k] for k, v in nogood.items()}, number)
    return solver


def solve(solver: Solver[int]) -> dict[str, int] | None:
    """Decides one variable after another, until all have one value."""
    try:
        while True:
            solver.propagate()
            domains = solver.domains
            undecided = [v for v in domains if domains[v] & (domains[v] - 1)]
            if not undecided:
                return dict(domains)
            solver.decide(undecided[0], domains[undecided[0]] & -domains[undecided[0]])
    except Unsatisfiable:
        return None


def satisfied(terms: list[dict[str, int]], values: dict[str, int]) -> bool:
    return not any(
        all(values[variable] & forbidden for variable, forbidden in nogood.items())
        for nogood in terms
        if all(forbidden & DOMAINS[v] for v, forbidden in nogood.items())
    )


def assignments() -> list[dict[str, int]]:
    values = [
        [1 << i for i in range(domain.bit_length())] for domain in DOMAINS.values()
    ]
    return [dict(zip(DOMAINS, one, strict=True)) for one in product(*values)]


@settings(max_examples=100, deadline=None)
@given(nogoods)
def test_a_solution_is_found_exactly_where_there_is_one(
    terms: list[dict[str, int]],
) -> None:
    found = solve(solver_with(terms))

    if found is None:
        assert not any(satisfied(terms, values) for values in assignments())
    else:
        assert satisfied(terms, found)


@settings(max_examples=100, deadline=None)
@given(nogoods)
def test_the_facts_of_a_proof_are_enough_for_the_refusal(
    terms: list[dict[str, int]],
) -> None:
    solver = solver_with(terms)
    if solve(solver) is not None:
        return

    assert solver.proof is not None
    facts = [terms[number] for number in facts_of(solver.proof)]
    assert not any(satisfied(facts, values) for values in assignments())


def test_a_conflict_takes_back_the_decision_that_caused_it() -> None:
    solver = solver_with([{"p": 0b001, "q": 0b0011}, {"p": 0b001, "q": 0b1100}])
    solver.propagate()
    solver.decide("r", 0b01)
    solver.propagate()
    solver.decide("p", 0b001)

    solver.propagate()

    assert solver.domains["p"] == 0b110
    assert solver.conflicts["p"] == 1


def test_a_nogood_with_an_empty_set_says_nothing() -> None:
    solver = solver_with([{"p": 0b111, "q": 0}])

    solver.propagate()

    assert solver.domains == DOMAINS


def test_a_variable_without_values_left_has_no_solution() -> None:
    solver = solver_with([{"p": 0b111}])

    with pytest.raises(Unsatisfiable):
        solver.propagate()


def facts_of(proof: Nogood[int]) -> set[int]:
    if not isinstance(proof.source, tuple):
        return {proof.source}
    one, other = proof.source
    return facts_of(one) | facts_of(other)
