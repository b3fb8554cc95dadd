"""The bundled weights as another GGUF type: the same numbers, for llama.cpp."""

from pathlib import Path

import gguf
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType

FILE_TYPES = {
    "F32": LlamaFileType.ALL_F32,
    "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
}


def write_copy(source: Path, target: Path, kind: str) -> Path:
    """Write all tensors of `source` as `kind`; vectors, as everywhere, in float32.

    They stay under the file's names and in its row order, and the metadata, tokenizer
    included, is that of `source`.

    Raises:
        ValueError: `kind` is none of F32, BF16 and Q8_0.
    """
    if kind not in FILE_TYPES:
        raise ValueError(f"kind is {kind!r}: use one of {', '.join(FILE_TYPES)}")
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    copy_metadata(reader, writer)
    writer.add_file_type(FILE_TYPES[kind])
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        stored = GGMLQuantizationType[kind if values.ndim > 1 else "F32"]
        writer.add_tensor(tensor.name, gguf.quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def copy_metadata(reader: GGUFReader, writer: GGUFWriter) -> None:
    """Every field but those that say how the tensors are stored."""
    own = ("GGUF.", "general.architecture", "general.file_type")
    for name, field in reader.fields.items():
        if not name.startswith(own):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], inner)


def weight_bytes(path: Path) -> int:
    """Bytes of a file's weights that every new token is multiplied with: the embedding
    only where it is the head too.
    """
    sizes = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(path).tensors}
    if "output.weight" in sizes:
        del sizes["token_embd.weight"]
    return sum(sizes.values())
