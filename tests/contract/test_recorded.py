"""A recorded step: what it copies, what it keeps, and when it records again."""

from functools import partial

import tiny
import torch

from companion import KVCache, fast, generate
from companion.fast.compiled import one_token
from companion.fast.compiled.decode import compiled_decode, in_one_graph
from companion.fast.recorded import Recorded


class Recorder:
    """In place of a CUDA graph: a replay runs the step on the inputs of the recording, and
    writes to the output of the recording, as a graph's addresses make it.
    """

    def __init__(self):
        self.recordings = 0

    def __call__(self, run):
        self.recordings += 1
        output = run()

        def replay():
            output.copy_(run())

        return replay, output


def recorded(model):
    recorder = Recorder()

    def step(*inputs):
        return one_token(model, *inputs)

    step = Recorded(step, recorder)

    def decode(*arguments):
        return compiled_decode(step, model, *arguments)

    return decode, recorder


def test_writes_the_same_tokens_from_one_recording():
    model, ids = tiny.model(), tiny.ids(2, 5)
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    decode, recorder = recorded(model)
    found = generate(model, ids, 9, attention_mask=mask, decode=decode)
    assert torch.equal(found, generate(model, ids, 9, attention_mask=mask))
    assert recorder.recordings == 1


def test_another_cache_or_batch_is_recorded_anew():
    model = tiny.model()
    decode, recorder = recorded(model)
    for times, ids in enumerate((tiny.ids(1, 5), tiny.ids(1, 5), tiny.ids(3, 4)), 1):
        found = generate(model, ids, 6, decode=decode)
        assert torch.equal(found, generate(model, ids, 6))
        assert recorder.recordings == times


def test_one_graph_is_for_any_number_of_prompt_lengths():
    """More lengths than torch compiles a function for, and several batches."""
    model = tiny.model(num_hidden_layers=1)
    torch._dynamo.utils.counters.clear()
    step = in_one_graph(lambda *given: one_token(model, *given), "aot_eager")
    step = Recorded(step, Recorder())
    decode = partial(compiled_decode, step, model)
    sizes = [(1, length) for length in range(2, 14)] + [(2, 3), (3, 5), (5, 4), (4, 9)]
    for batch, length in sizes:
        ids = tiny.ids(batch, length)
        found = generate(model, ids, 4, decode=decode)
        assert torch.equal(found, generate(model, ids, 4))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 4


def test_a_resized_cache_is_another():
    model, ids = tiny.model(), tiny.ids(1, 4)
    decode, recorder = recorded(model)
    cache = KVCache(model.config, 1, 7)
    first = generate(model, ids, 3, past_key_values=cache, decode=decode)
    cache = cache.resized(20)
    found = generate(model, first, 5, past_key_values=cache, decode=decode)
    assert torch.equal(found, generate(model, ids, 8))
    assert recorder.recordings == 2


def test_the_same_cache_goes_on_with_one_recording():
    model, ids = tiny.model(), tiny.ids(1, 4)
    decode, recorder = recorded(model)
    cache = KVCache(model.config, 1, 20)
    first = generate(model, ids, 3, past_key_values=cache, decode=decode)
    found = generate(model, first, 5, past_key_values=cache, decode=decode)
    assert torch.equal(found, generate(model, ids, 8))
    assert recorder.recordings == 1


def inputs(model, token, position, max_length=8):
    cache = KVCache(model.config, 1, max_length)
    mask = torch.arange(max_length)[None, None, None] <= position
    places = torch.tensor([[position]])
    return (
        torch.tensor([[token]]),
        places,
        mask,
        places[0],
        cache.keys.unbind(),
        cache.values.unbind(),
    )


def test_an_output_is_left_alone_by_the_next_call():
    model = tiny.model()
    step = Recorded(lambda *given: one_token(model, *given), Recorder())
    *first, keys, values = inputs(model, 3, 0)
    before = step(*first, keys, values)
    kept = before.clone()
    *second, _, _ = inputs(model, 7, 1)
    after = step(*second, keys, values)
    assert torch.equal(before, kept)
    assert not torch.allclose(before, after)


def test_inputs_are_copied_not_kept():
    """Whoever writes into a tensor that was handed in changes no later replay."""
    model = tiny.model()
    step = Recorded(lambda *given: one_token(model, *given), Recorder())
    *first, keys, values = inputs(model, 3, 0)
    expected = step(*first, keys, values)
    same = [x.clone() for x in first]
    for x in first:
        x.zero_()
    assert torch.equal(step(*same, keys, values), expected)
    assert not any(x.any() for x in first)  # and they are not written to


def test_other_views_of_the_same_memory_are_recorded_anew():
    model, recorder = tiny.model(), Recorder()
    step = Recorded(lambda *given: one_token(model, *given), recorder)
    *first, keys, values = inputs(model, 3, 0)
    step(*first, keys, values)
    shorter = [tuple(x[:, :, :4] for x in each) for each in (keys, values)]
    first[2] = first[2][..., :4]
    step(*first, *shorter)
    assert recorder.recordings == 2


def test_a_cpu_model_is_not_recorded():
    step = fast.compile_decode(tiny.model(), backend="aot_eager")
    assert not isinstance(step.args[0], Recorded)
