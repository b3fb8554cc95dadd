import torch
from grades import accepts, rejects

from companion import scaled_dot_product_attention
from companion.exercises import attention, check_attention


def query_by_query(query, key, value, mask):
    out = torch.zeros(*query.shape[:-1], value.shape[-1])
    for i in range(query.shape[-2]):
        scores = torch.einsum("bd,bkd->bk", query[:, i], key) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = torch.where(mask[i], scores, -1e30)
        terms = (scores - scores.amax(-1, keepdim=True)).exp()
        out[:, i] = torch.einsum("bk,bkd->bd", terms, value) / terms.sum(
            -1, keepdim=True
        )
    return out


test_accepts = accepts(check_attention, scaled_dot_product_attention, query_by_query)

test_rejects = rejects(
    check_attention,
    (attention.key_not_transposed, "the key is not transposed"),
    (attention.no_scale, "√head_dim"),
    (attention.scale_without_root, "√head_dim"),
    (attention.softmax_over_queries, "sum to 1"),
    (attention.mask_upside_down, "upside down"),
    (attention.mask_after_softmax, "before the softmax"),
    (lambda q, k, v, m: scaled_dot_product_attention(q, k, v), "True means"),
    (lambda q, k, v, m: q @ k.mT, "has shape"),
    (lambda q, k, v, m: None, "not a tensor"),
    (lambda q, k, v, m: scaled_dot_product_attention(q, k, v).double(), "float64"),
)  # fmt: skip
