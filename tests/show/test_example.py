"""The running example: its products by hand, and a layer in which every mistake shows."""

from companion.show import example


def carried():
    x = example.tokens()
    return tuple(x @ weight for weight in example.weights())


def test_products_are_the_integers_of_the_book():
    query, key, value = carried()
    assert query.tolist() == [[1, 3, 1], [1, 1, 4]]
    assert key.tolist() == [[1, 2, 1], [3, 2, 0]]
    assert value.tolist() == [[1, 1, 4], [0, 3, 5]]


def test_layer_has_every_part_and_keeps_the_shape():
    layer = example.decoder_layer()
    out = layer(example.tokens()[None])
    assert out.shape == (1, 2, 4)
    assert out.isfinite().all()
    assert all(parameter.count_nonzero() > 0 for parameter in layer.parameters())


def test_weights_of_the_layer_tell_rows_and_heads_apart():
    layer = example.decoder_layer()
    out = layer(example.tokens()[None])
    for name, parameter in layer.named_parameters():
        if parameter.ndim != 2:
            continue
        rows, right = {tuple(row) for row in parameter.tolist()}, parameter.clone()
        assert len(rows) == len(parameter), name
        for wrong in (right.flip(0), right.flip(1), right.roll(2, dims=1)):
            parameter.copy_(wrong)
            assert (layer(example.tokens()[None]) - out).abs().max() > 1e-2, name
        parameter.copy_(right)
