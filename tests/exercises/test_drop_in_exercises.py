import torch
import torch.nn.functional as F
from grades import accepts, rejects

from companion.exercises import check_attention_interface, drop_in
from companion.hugging_face.attention import (
    as_attention_interface,
    attention_interface,
)


def with_torch(module, query, key, value, attention_mask, scaling=None, **options):
    output = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attention_mask,
        is_causal=module.is_causal and attention_mask is None and query.shape[2] > 1,
        scale=scaling,
        enable_gqa=True,
    )
    return output.transpose(1, 2), None


def always_causal(module, *rest):
    module.is_causal = True
    return attention_interface(module, *rest)


test_accepts = accepts(
    check_attention_interface,
    attention_interface,
    as_attention_interface(F.scaled_dot_product_attention),
    with_torch,
)

test_rejects = rejects(
    check_attention_interface,
    (drop_in.output_not_transposed, "^in a prefill of 4 tokens, mask None: The output keeps"),
    (drop_in.scaling_not_passed_on, "^in a prefill of 4 tokens, mask None: The scores are"),
    (drop_in.no_mask_means_everything, "^in a prefill of 4 .* every query sees every key"),
    (drop_in.one_query_top_left, "^in a decoding step, .* sees the first key alone"),
    (drop_in.last_query_sees_last_key, "^in a prefill of 3 tokens into a static .* empty places"),
    (drop_in.bool_mask_added, "^with a bool mask: A bool mask is added"),
    (lambda *given: attention_interface(*given)[0], "returned a Tensor"),
    (lambda *given: (None, None), "not a tensor"),
    (lambda *given: (torch.zeros(2, 4, 4, 8), None), "off by up to"),
    (lambda *given: (torch.zeros(2, 4, 32), None), "has shape"),
    (always_causal, "for a module that is not causal"),
    (lambda module, query: query, "raises TypeError"),
)  # fmt: skip
