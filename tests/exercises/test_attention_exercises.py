from grades import accepts, rejects

from companion import scaled_dot_product_attention
from companion.exercises import attention, check_attention

test_accepts = accepts(check_attention, scaled_dot_product_attention)

test_rejects = rejects(
    check_attention,
    (attention.key_not_transposed, "the key is not transposed"),
    (attention.no_scale, "√head_dim"),
    (attention.scale_without_root, "√head_dim"),
    (attention.softmax_over_queries, "sum to 1"),
    (attention.mask_upside_down, "."),
    (attention.mask_after_softmax, "before the softmax"),
    (lambda q, k, v, m: scaled_dot_product_attention(q, k, v), "True means"),
    (lambda q, k, v, m: q @ k.mT, "has shape"),
    (lambda q, k, v, m: None, "not a tensor"),
    (lambda q, k, v, m: scaled_dot_product_attention(q, k, v).double(), "float64"),
)  # fmt: skip
