"""Hugging Face's Llama with the companion's weights, as its users would run it."""

import time
from functools import partial, wraps

import torch
from transformers import LlamaConfig as HFConfig
from transformers import LlamaForCausalLM as HFLlama
from written import Write, Written, written

from companion import LlamaForCausalLM


class Clock:
    """Handed to `generate` as its streamer: keeps when each token came."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]
        self.prompt = True

    def put(self, value: torch.Tensor) -> None:
        """The prompt first, then token by token."""
        if not self.prompt:
            self.times.append(time.perf_counter())
        self.prompt = False

    def end(self) -> None:
        """Nothing is left to do."""


def hugging_face(model: LlamaForCausalLM, attention: str) -> HFLlama:
    """Their model with the same weights, not copied."""
    rope = {"rope_type": "default", "rope_theta": model.config.rope_theta}
    options = {"rope_parameters": rope, "attn_implementation": attention}
    config = HFConfig(**vars(model.config), **options)
    with torch.device("meta"):
        theirs = HFLlama(config).eval()
    theirs.load_state_dict(model.state_dict(), strict=False, assign=True)
    theirs.tie_weights()
    # it holds the frequencies, in float32 whatever the dtype, which no checkpoint has
    with torch.device(model.device):
        theirs.model.rotary_emb = type(theirs.model.rotary_emb)(config)
    theirs.generation_config.eos_token_id = None
    return theirs.requires_grad_(False)


def write(
    theirs: HFLlama, options: dict, ids: list[int], new: int, batch: int = 1
) -> Written:
    """Greedy tokens of their `generate` with their times, after so many copies of a text."""
    given, clock = torch.tensor([ids] * batch, device=theirs.device), Clock()
    tokens = theirs.generate(
        given,
        attention_mask=torch.ones_like(given),
        do_sample=False,
        max_new_tokens=new,
        streamer=clock,
        **options,
    )
    return written(tokens[:, len(ids) :].mT.flatten().tolist(), clock.times)


def writer(model: LlamaForCausalLM, attention: str, batch: int = 1) -> Write:
    """Their model as it comes, with "eager" or "sdpa"."""
    return partial(write, hugging_face(model, attention), {}, batch=batch)


def compiled(model: LlamaForCausalLM, q_len: int) -> Write:
    """Their static cache, and a forward of `q_len` tokens compiled with frozen weights.

    Their own `generate` compiles on GPUs only, and without freezing, which on a CPU
    is what lets the compiler lay out the weights anew.
    """
    theirs = hugging_face(model, "sdpa")
    eager = theirs.forward
    fast = torch.compile(eager, dynamic=False, options={"freezing": True})

    @wraps(eager)
    def forward(input_ids: torch.Tensor, **options: object) -> object:
        run = fast if input_ids.shape[1] == q_len else eager
        return run(input_ids=input_ids, **options)

    theirs.forward = forward
    options = {"cache_implementation": "static", "disable_compile": True}
    return partial(write, theirs, options)
