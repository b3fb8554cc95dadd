"""The grader of the decoder layer."""

from collections.abc import Callable

from torch import Tensor

from companion.exercises.decoder_layer import layer_arguments, layer_forward
from companion.exercises.gallery import mistaken
from companion.exercises.graders.grading import check_numbers, check_tensor, graded


@graded
def check_decoder_layer(forward: Callable[..., Tensor]) -> str | None:
    """Grade `forward(layer, x, position_embeddings)`: what a LlamaDecoderLayer does,
    put together from its parts.
    """
    arguments = layer_arguments()
    expected, answer = layer_forward(*arguments), forward(*arguments)
    known = mistaken(layer_forward, *arguments)
    return check_tensor("the result", answer, expected) or check_numbers(
        answer, expected, known
    )
