"""The book's one example: two tokens of four features, and the weights that every
chapter carries on with.

All numbers are small integers, quarters in the decoder layer, so that each product can
be checked by hand and is exact in every dtype.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from companion.config import LlamaConfig
from companion.decoder import LlamaDecoderLayer
from companion.heads import MultiHeadAttention
from companion.model import LlamaForCausalLM

TOKENS = ("the", "cat")
VOCABULARY = (*TOKENS, "sat", "on", "a", "mat", "and", ".")

# The opening of Lewis Carroll's Alice in Wonderland, for what shows in a longer text only.
PAGE = """Alice was beginning to get very tired of sitting by her sister on the bank, \
and of having nothing to do: once or twice she had peeped into the book her sister was \
reading, but it had no pictures or conversations in it, `and what is the use of a book,' \
thought Alice `without pictures or conversation?' So she was considering in her own mind \
(as well as she could, for the hot day made her feel very sleepy and stupid), whether the \
pleasure of making a daisy-chain would be worth the trouble of getting up and picking the \
daisies, when suddenly a White Rabbit with pink eyes ran close by her. There was nothing \
so VERY remarkable in that; nor did Alice think it so VERY much out of the way to hear the \
Rabbit say to itself, `Oh dear! Oh dear! I shall be late!' (when she thought it over \
afterwards, it occurred to her that she ought to have wondered at this, but at the time it \
all seemed quite natural); but when the Rabbit actually TOOK A WATCH OUT OF ITS \
WAISTCOAT-POCKET, and looked at it, and then hurried on, Alice started to her feet, for it \
flashed across her mind that she had never before seen a rabbit with either a \
waistcoat-pocket, or a watch to"""


def tokens() -> Float[Tensor, "2 4"]:
    """X: two tokens (rows) of four features (columns)."""
    return torch.tensor([[1.0, 0.0, 2.0, 1.0], [0.0, 1.0, 1.0, 3.0]])


def weights() -> tuple[
    Float[Tensor, "4 3"], Float[Tensor, "4 3"], Float[Tensor, "4 3"]
]:
    """W_q, W_k and W_v of the first head, stored (in, out) as on paper: `X @ W`."""
    w_q = torch.tensor(
        [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    )
    w_k = torch.tensor(
        [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    )
    w_v = torch.tensor(
        [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    )
    return w_q, w_k, w_v


def second_head() -> tuple[
    Float[Tensor, "4 3"], Float[Tensor, "4 3"], Float[Tensor, "4 3"]
]:
    """W_q, W_k and W_v of a second head."""
    w_q = torch.tensor(
        [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    )
    w_k = torch.tensor(
        [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    )
    w_v = torch.tensor(
        [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    )
    return w_q, w_k, w_v


def output_weight() -> Float[Tensor, "6 4"]:
    """W_o: from two heads of three features side by side back to four features."""
    return torch.tensor(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
            [1.0, 0.0, 0.0, 1.0],
            [0.0, 1.0, 1.0, 0.0],
        ]
    )


def attention() -> MultiHeadAttention:
    """Both heads and W_o as one attention layer, stored (out, in) as `nn.Linear` does."""
    made = MultiHeadAttention(4, 2, head_dim=3)
    for name, *heads in zip("qkv", weights(), second_head(), strict=True):
        getattr(made, f"{name}_proj").weight.data = torch.cat(heads, dim=1).mT
    made.o_proj.weight.data = output_weight().mT
    return made.requires_grad_(False)


def layer_config() -> LlamaConfig:
    """The smallest Llama with every part in it: four features, two query heads
    that share one key/value head.
    """
    return LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=4,
        intermediate_size=6,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=2,
        max_position_embeddings=16,
    )


def decoder_layer() -> LlamaDecoderLayer:
    """A decoder layer of `layer_config` for X, its weights quarters between -3/4
    and 3/4 in a fixed pattern.
    """
    layer = LlamaDecoderLayer(layer_config(), layer_idx=0)
    for number, (name, parameter) in enumerate(layer.named_parameters()):
        if name.endswith("_proj.weight"):
            pattern = (torch.arange(parameter.numel()) * (number % 6 + 1)) % 7 - 3
            parameter.data = (pattern / 4).reshape(parameter.shape)
    return layer.requires_grad_(False).eval()


def model() -> LlamaForCausalLM:
    """A whole Llama around `decoder_layer`: the rows of its embedding for "the" and
    "cat" are X, and the same table is its head.
    """
    config = replace(layer_config(), tie_word_embeddings=True)
    made = LlamaForCausalLM(config)
    others = (torch.arange(4.0 * (len(VOCABULARY) - 2)) * 3 % 7 - 3).reshape(-1, 4)
    made.model.embed_tokens.weight.data = torch.cat((tokens(), others))
    made.model.layers[0].load_state_dict(decoder_layer().state_dict())
    return made.requires_grad_(False).eval()
