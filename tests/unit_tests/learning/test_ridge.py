"""Ridge regression against normal equations solved by NumPy, and against fits without a row."""

import numpy as np
import pytest
from scipy import sparse

from langchain_optscale.learning import ridge
from langchain_optscale.learning.ridge import fit_ridge


def problem(rows, columns, seed=0):
    generator = np.random.default_rng(seed)
    data = generator.normal(size=(rows, columns)) / np.sqrt(columns)
    targets = data[:, :3] @ generator.normal(size=(3, 2)) * 2.0 + generator.normal(size=(rows, 2)) * 0.3 + 5.0
    return data, targets, generator.uniform(0.3, 1.0, size=(rows, 2))


def by_normal_equations(data, target, weight, strength, centre):
    with_constant = np.hstack([data, np.ones((len(data), 1))])
    left = (with_constant.T * weight) @ with_constant + strength * np.eye(with_constant.shape[1])
    return with_constant, np.linalg.solve(left, (with_constant.T * weight) @ (target - centre))


@pytest.mark.parametrize(("rows", "columns"), [(40, 120), (120, 15)], ids=["dual", "primal"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_both_closed_forms_solve_the_normal_equations(rows, columns, form):
    data, targets, weights = problem(rows, columns)
    fit = fit_ridge(form(data), targets, weights)
    for column, strength in enumerate(fit.strengths):
        centre = np.average(targets[:, column], weights=weights[:, column])
        _, solution = by_normal_equations(data, targets[:, column], weights[:, column], strength, centre)
        assert fit.coefficients[:, column] == pytest.approx(solution[:-1], abs=1e-9)
        assert fit.intercept[column] == pytest.approx(centre + solution[-1], abs=1e-9)


@pytest.mark.parametrize(("rows", "columns"), [(40, 120), (60, 15)], ids=["dual", "primal"])
def test_what_is_left_out_is_predicted_by_the_others(rows, columns):
    data, targets, weights = problem(rows, columns)
    fit = fit_ridge(data, targets, weights)
    centre = np.average(targets[:, 0], weights=weights[:, 0])
    for row in range(0, rows, 7):
        others = np.arange(rows) != row
        _, solution = by_normal_equations(
            data[others], targets[others, 0], weights[others, 0], fit.strengths[0], centre
        )
        expected = np.append(data[row], 1.0) @ solution + centre
        assert fit.left_out[row, 0] == pytest.approx(expected, abs=1e-9)


def test_the_strength_is_the_best_one_for_rows_left_out():
    data, targets, weights = problem(60, 200)
    fit = fit_ridge(data, targets, weights)
    centre = np.average(targets[:, 0], weights=weights[:, 0])
    errors = {}
    for power in range(-4, 9):
        error = 0.0
        for row in range(60):
            others = np.arange(60) != row
            _, solution = by_normal_equations(data[others], targets[others, 0], weights[others, 0], 2.0**power, centre)
            error += weights[row, 0] * (targets[row, 0] - centre - np.append(data[row], 1.0) @ solution) ** 2
        errors[2.0**power] = error
    assert fit.strengths[0] == min(errors, key=errors.get)


def test_rows_without_a_signal_get_the_largest_strength():
    generator = np.random.default_rng(1)
    fit = fit_ridge(generator.normal(size=(300, 40)) / 6.0, generator.normal(size=(300, 1)))
    assert fit.strengths[0] >= 64.0
    assert np.abs(fit.left_out).mean() < 0.3


def test_more_rows_than_the_dual_takes_are_solved_by_gradients(monkeypatch):
    data, targets, weights = problem(90, 150)
    closed = fit_ridge(sparse.csr_array(data), targets, weights)
    monkeypatch.setattr(ridge, "MOST_DUAL", 50)
    monkeypatch.setattr(ridge, "_CHOOSING", 80)
    by_gradients = fit_ridge(sparse.csr_array(data), targets, weights)
    assert np.abs(by_gradients.left_out - targets).mean() < 1.3 * np.abs(closed.left_out - targets).mean()
    for column, strength in enumerate(by_gradients.strengths):
        centre = np.average(targets[:, column], weights=weights[:, column])
        _, solution = by_normal_equations(data, targets[:, column], weights[:, column], strength, centre)
        assert by_gradients.coefficients[:, column] == pytest.approx(solution[:-1], abs=1e-3)


def test_strengths_are_refined_on_all_rows(monkeypatch):
    data, targets, weights = problem(120, 300)
    monkeypatch.setattr(ridge, "_CHOOSING", 60)
    fit = fit_ridge(data, targets, weights)
    centre = np.average(targets[:, 1], weights=weights[:, 1])
    _, solution = by_normal_equations(data, targets[:, 1], weights[:, 1], fit.strengths[1], centre)
    assert fit.coefficients[:, 1] == pytest.approx(solution[:-1], abs=1e-9)
