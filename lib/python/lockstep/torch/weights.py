"""Weights in .safetensors files, Lockstep's and others', read and written without any package beside NumPy."""
import json
import struct

import numpy
import torch

from ..errors import UsageError

_TYPES = {"F32": numpy.float32, "F64": numpy.float64, "I64": numpy.int64, "I32": numpy.int32, "I16": numpy.int16,
          "I8": numpy.int8, "U8": numpy.uint8}
_HEADER_LENGTH = struct.Struct("<Q")


def read_safetensors(path) -> dict[str, torch.Tensor]:
    """The arrays by name."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        data = _HEADER_LENGTH.size + _HEADER_LENGTH.unpack_from(content)[0]
        header = json.loads(content[_HEADER_LENGTH.size:data])
        header.pop("__metadata__", None)
        return {name: _array(content[data:], **entry) for name, entry in header.items()}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no .safetensors file, or a damaged one: {error}") from error


def _array(data: bytes, dtype: str, shape: list[int], data_offsets: list[int]) -> torch.Tensor:
    values = numpy.frombuffer(data[slice(*data_offsets)], _TYPES[dtype]).reshape(shape)
    return torch.from_numpy(values.copy())


def write_safetensors(path, arrays: dict[str, torch.Tensor]) -> None:
    """A state_dict, say."""
    codes = {numpy.dtype(dtype): code for code, dtype in _TYPES.items()}
    header, data = {}, []
    end = 0
    for name, tensor in arrays.items():
        values = tensor.detach().cpu().contiguous().numpy()
        header[name] = {"dtype": codes[values.dtype], "shape": list(values.shape), "data_offsets": [end, end + values.nbytes]}
        data.append(values.tobytes())
        end += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(_HEADER_LENGTH.pack(len(text)) + text + b"".join(data))


def load_weights(module: torch.nn.Module, path) -> torch.nn.Module:
    """Gives the module the arrays of the file, which have its names and shapes; returns it."""
    module.load_state_dict(read_safetensors(path), strict=True)
    return module
