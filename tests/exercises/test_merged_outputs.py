"""The grader of a merge of finished outputs."""

import torch
from grades import accepts, rejects

from companion.exercises import check_merge_outputs


def by_shares(output_1, lse_1, output_2, lse_2):
    lse = torch.logaddexp(lse_1, lse_2)
    shift = lse.masked_fill(lse.isneginf(), 0.0)
    one, two = ((x - shift).exp()[..., None] for x in (lse_1, lse_2))
    return one * output_1 + two * output_2, lse


def by_maximum(output_1, lse_1, output_2, lse_2):
    largest = lse_1.maximum(lse_2).nan_to_num(neginf=0.0)
    one, two = (lse_1 - largest).exp(), (lse_2 - largest).exp()
    total = one + two
    mean = one[..., None] * output_1 + two[..., None] * output_2
    return mean / total.clamp(min=1e-30)[..., None], largest + total.log()


def by_sigmoid(output_1, lse_1, output_2, lse_2):
    share = (lse_1 - lse_2).sigmoid().nan_to_num()[..., None]
    lse = torch.stack([lse_1, lse_2]).logsumexp(dim=0)
    return share * output_1 + (1 - share) * output_2, lse


def by_loops(*given):
    output, lse = torch.empty_like(given[0]), torch.empty_like(given[1])
    for row in range(lse.shape[0]):
        for i in range(lse.shape[1]):
            output[row, i], lse[row, i] = by_shares(*(x[row, i] for x in given))
    return output, lse


test_accepts = accepts(check_merge_outputs, by_shares, by_maximum, by_sigmoid, by_loops)


def without_maximum(output_1, lse_1, output_2, lse_2):
    one, two = lse_1.exp(), lse_2.exp()
    total = one + two
    mean = one[..., None] * output_1 + two[..., None] * output_2
    return (mean / total[..., None]), total.log()


def nan_where_nothing_is_seen(output_1, lse_1, output_2, lse_2):
    lse = torch.logaddexp(lse_1, lse_2)
    one, two = ((x - lse).exp()[..., None] for x in (lse_1, lse_2))
    return one * output_1 + two * output_2, lse


def with_output(made):
    return lambda *given: (made(*given), by_shares(*given)[1])


def with_lse(made):
    return lambda *given: (by_shares(*given)[0], made(*given))


test_rejects = rejects(
    check_merge_outputs,
    (without_maximum, "^for scores up to 1,000, output: .* too large for float32"),
    (nan_where_nothing_is_seen, "^where queries see nothing .* -inf - -inf"),
    (with_output(lambda a, m, b, n: (a + b) / 2), "^for scores of usual size, output: both"),
    (with_output(lambda a, m, b, n: a + b), "shares have to sum to 1"),
    (with_output(lambda a, m, b, n: (m[..., None] * a + n[..., None] * b) / (m + n)[..., None]), "not lse"),
    (with_lse(lambda a, m, b, n: m + n), "^for scores of usual size, lse: it is the sum"),
    (with_lse(lambda a, m, b, n: m.maximum(n)), "larger of the two"),
    (with_lse(lambda a, m, b, n: torch.logaddexp(m, n).exp()), "not yet a logarithm"),
    (with_lse(lambda a, m, b, n: torch.logaddexp(m, n).clamp(min=-1e4)), "no key at all"),
    (lambda *given: by_shares(*given)[0], "should be two tensors"),
    (lambda *given: by_shares(*given)[::-1], "^output has shape"),
    (with_lse(lambda a, m, b, n: m[..., None]), "^lse has shape"),
)  # fmt: skip
