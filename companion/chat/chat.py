"""A conversation: each turn runs only what the cache does not hold yet."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from companion.cache import KVCache, key_dtype
from companion.generate import Decode, decode, generate_stream
from companion.model import LlamaForCausalLM
from companion.refusals.generate import check_model, check_seed
from companion.refusals.numbers import is_integer
from companion.refusals.sampling import check_sampling
from companion.tokenizers import Tokenizer


class Chat:
    """A model, its tokenizer, the messages so far and the cache of their tokens.

    Every turn writes the whole conversation by the checkpoint's chat template. The
    cache is cropped to the tokens that this text shares with what it holds, and only
    the rest is run. `seed` makes sampling repeatable: each turn has its own, counted
    from it. `decode` is that of `generate`.

    Raises: ValueError for sampling options out of range, and for a checkpoint without
    a tokenizer or chat template.
    """

    def __init__(
        self,
        model: LlamaForCausalLM,
        tokenizer: Tokenizer,
        *,
        system: str | None = None,
        max_new_tokens: int = 512,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        decode: Decode = decode,
    ):
        check_model(model)
        check_sampling(temperature, top_k, top_p)
        check_seed(seed)
        if not is_integer(max_new_tokens) or max_new_tokens < 1:
            raise ValueError(
                f"max_new_tokens is {max_new_tokens!r}: it must be an integer, 1 or "
                "more"
            )
        if not isinstance(tokenizer, Tokenizer):
            raise ValueError(
                f"tokenizer is {tokenizer!r}: it must be a companion.Tokenizer, as load "
                "returns it for a GGUF or a directory with tokenizer.json"
            )
        if tokenizer.chat_template is None:
            raise ValueError(
                "the checkpoint has no chat template, so it cannot chat: use generate "
                "with a prompt, or set tokenizer.chat_template"
            )
        self.model, self.tokenizer = model, tokenizer
        self.system = system
        self.max_new_tokens = int(max_new_tokens)  # numpy's would wrap around
        self.sampling: dict[str, Any] = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
        }
        self.seed, self.decode = None if seed is None else int(seed), decode
        self.cache: KVCache | None = None
        self.ids: list[int] = []  # the first cache.length of them are in the cache
        self.reset()

    def reset(self) -> None:
        """Begin a new conversation; what it shares with the old one stays cached."""
        self.messages: list[dict[str, Any]] = []
        if self.system is not None:
            self.messages.append({"role": "system", "content": self.system})
        self.answer: dict[str, Any] = {}

    def send(self, text: str) -> str:
        """The whole answer to a message; errors as in `stream`."""
        return "".join(self.stream(text))

    def stream(self, text: str) -> Iterator[str]:
        """The answer to a message, piece by piece as it is written.

        Left in the middle, by `break` or Ctrl-C, the conversation goes on from what
        was written. Nothing is kept of a turn before its first token; a newer `stream`
        or `reset` ends it.

        Raises: ValueError for a message that the template refuses, and for a
        conversation longer than the model has positions.
        """
        asked = [*self.messages, {"role": "user", "content": text}]
        ids = self.tokenizer.apply_chat_template(asked)
        positions = self.model.config.max_positions
        if len(ids) >= positions:
            raise ValueError(
                f"the conversation has {len(ids)} tokens and the model {positions} "
                "positions (config.max_positions), with none left for an answer: "
                "shorten the message, or reset() to begin anew"
            )
        self.answer = {"role": "assistant", "content": ""}
        return self._pieces(asked, ids, self.answer)

    def _pieces(
        self, asked: list[dict[str, Any]], ids: list[int], answer: dict[str, Any]
    ) -> Iterator[str]:
        """The pieces of an answer, written to the messages as they go out."""
        for piece in self.tokenizer.decode_stream(self._tokens(asked, ids, answer)):
            answer["content"] += piece
            yield piece

    def _tokens(
        self, asked: list[dict[str, Any]], ids: list[int], answer: dict[str, Any]
    ) -> Iterator[int]:
        """The tokens of an answer up to its stop token; the turn counts from the first on."""
        if self.answer is not answer:
            return
        positions = self.model.config.max_positions
        count = min(self.max_new_tokens, positions - len(ids))
        self.cache = self._cache_for(ids, len(ids) + count - 1)
        self.ids = list(ids)
        for token in generate_stream(
            self.model,
            torch.tensor([ids]),
            count,
            **self.sampling,
            seed=None if self.seed is None else (self.seed + len(asked)) % 2**64,
            stop_tokens=self.tokenizer.stop_ids,
            past_key_values=self.cache,
            decode=self.decode,
        ):
            self.messages = [*asked, answer]
            if int(token) in self.tokenizer.stop_ids:
                return
            self.ids.append(int(token))
            yield int(token)
            if self.answer is not answer:
                return

    def _cache_for(self, ids: list[int], length: int) -> KVCache:
        """The cache with room for `length` tokens, cropped to what it shares with `ids`."""
        model = self.model
        if self.cache is None:
            dtype = key_dtype(model.dtype, model.device)
            return KVCache(model.config, 1, length, dtype=dtype, device=model.device)
        cache = self.cache
        held = self.ids[: cache.length]
        # at least the last token is run: its logits are what the answer begins with
        cache.crop(shared(held, ids[:-1]))
        if cache.max_length >= length:
            return cache
        return cache.resized(
            min(max(length, 2 * cache.max_length), model.config.max_positions)
        )


def shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids two texts have in common from the start."""
    differ = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(differ, min(len(a), len(b)))
