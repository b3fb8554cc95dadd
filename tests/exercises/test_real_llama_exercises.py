import torch
from grades import accepts, rejects

from companion.exercises import check_top_p


def sorted_down(probabilities):
    ordered, order = probabilities.sort(dim=-1, descending=True)
    return ordered, order, ordered.cumsum(dim=-1)


def put_back(ordered, order):
    return torch.zeros_like(ordered).scatter(-1, order, ordered)


def normalized(kept):
    return kept / kept.sum(dim=-1, keepdim=True)


def right(probabilities, top_p):
    ordered, order, sums = sorted_down(probabilities)
    ordered[sums - ordered >= top_p] = 0
    return normalized(put_back(ordered, order))


def drops_the_one_that_reaches_it(probabilities, top_p):
    ordered, order, sums = sorted_down(probabilities)
    ordered[sums > top_p] = 0
    return normalized(put_back(ordered, order))


def forgets_to_normalize(probabilities, top_p):
    ordered, order, sums = sorted_down(probabilities)
    ordered[sums - ordered >= top_p] = 0
    return put_back(ordered, order)


def forgets_the_order(probabilities, top_p):
    ordered, _, sums = sorted_down(probabilities)
    ordered[sums - ordered >= top_p] = 0
    return normalized(ordered)


def by_value(probabilities, top_p):
    return normalized(probabilities * (probabilities >= 1 - top_p))


test_accepts = accepts(check_top_p, right)

test_rejects = rejects(
    check_top_p,
    (drops_the_one_that_reaches_it, "nothing is left"),
    (forgets_to_normalize, "do not sum to 1"),
    (forgets_the_order, "put them back"),
    (by_value, "off by"),
    (lambda probabilities, top_p: probabilities, "off by"),
    (lambda probabilities, top_p: probabilities[0], "shape"),
    (lambda probabilities, top_p: 1 / 0, "ZeroDivisionError"),
)
