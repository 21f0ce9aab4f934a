"""A model's folder as Hugging Face lays it out: ``config.json``, weights in safetensors, a ``README.md`` card.

Sources: https://huggingface.co/docs/hub/model-cards and https://github.com/huggingface/safetensors (format). Files are
hashed; what configuration and card say is kept as their word. A safetensors header is checked against its file, since
one that overlaps or leaves gaps could carry other bytes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from troth.core.errors import BadInput
from troth.formats.foreign import read_object
from troth.formats.inventory import Held, Inventory
from troth.formats.oms import IGNORED, root_digest
from troth.formats.plain_yaml import as_text, read_yaml
from troth.formats.tree import hash_all, reading

CARD, CONFIG, WEIGHTS = "README.md", "config.json", ".safetensors"
MAX_HEADER = 32 << 20
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16,
         "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6,
         "F6_E3M2": 6}
"""Bits an element, by safetensors' names."""
_CARD_FIELDS = ("license", "license_name", "license_link", "base_model", "datasets", "language", "library_name",
                "pipeline_tag", "tags")
_CONFIG_FIELDS = ("model_type", "architectures", "torch_dtype", "transformers_version", "vocab_size", "hidden_size",
                  "num_hidden_layers", "num_attention_heads")


def read_hub(folder: Path) -> Inventory:
    """The folder's inventory. ``said`` carries ``card:…``, ``config:…`` and ``weights:…``.

    Raises BadInput for a folder without configuration or weights and for files that cannot be read as what their names
    say, Refuted for links.
    """
    files = [Held(one.name, one.digest, one.size) for one in hash_all(folder, frozenset(IGNORED))]
    here = {one.name for one in files}
    weights = sorted(name for name in here if name.endswith(WEIGHTS))
    if CONFIG not in here and not weights:
        raise BadInput("not a model's folder", expected=f"{CONFIG} or *{WEIGHTS}", actual=sorted(here)[:5])
    said: dict[str, str] = {}
    if CONFIG in here:
        said |= _some("config", read_object(_bytes(folder / CONFIG)), _CONFIG_FIELDS)
    if CARD in here:
        said |= _some("card", _front_matter(_bytes(folder / CARD)), _CARD_FIELDS)
    if weights:
        counts = [_elements(folder / name) for name in weights]
        said |= {"weights:elements": str(sum(count for count, _ in counts)),
                 "weights:types": ", ".join(sorted({kind for _, kinds in counts for kind in kinds}))}
    record = root_digest(one.digest for one in files)
    found = Inventory("hugging-face", "manifest", record, folder.resolve().name, tuple(files), said)
    found.check()
    return found


def _some(prefix: str, source: dict[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    return {f"{prefix}:{name}": as_text(source[name]) for name in fields if source.get(name) not in (None, [], "")}


def _front_matter(data: bytes) -> dict[str, Any]:
    """The card's metadata between its first two lines of dashes; nothing where it has none."""
    text = data.decode(errors="replace").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return {}
    head, fence, _ = text.removeprefix("---\n").partition("\n---\n")
    if not fence:
        raise BadInput("a card whose metadata does not end", expected="a line of three dashes")
    return read_yaml(head.encode())


def _elements(path: Path) -> tuple[int, set[str]]:
    """Number of elements and their types in a safetensors file, whose header covers its bytes exactly."""
    size = path.stat().st_size
    with reading(path), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise BadInput("not safetensors: a header of another length", actual=length,
                           expected=f"2 to {min(MAX_HEADER, max(0, size - 8))} bytes")
        header = read_object(file.read(length))
    header.pop("__metadata__", None)
    spans: list[tuple[int, int]] = []
    elements = 0
    kinds: set[str] = set()
    for name, item in header.items():
        kind, count, span = _tensor(name, item)
        spans.append(span)
        elements += count
        kinds.add(kind)
    at = 0
    for start, end in sorted(spans):
        if start != at:
            raise BadInput("tensors that overlap or leave gaps", actual=f"{path.name} at {at}")
        at = end
    if at != size - 8 - length:
        raise BadInput("bytes beyond the last tensor", actual=f"{path.name}: {size - 8 - length - at}")
    return elements, kinds


def _tensor(name: str, item: Any) -> tuple[str, int, tuple[int, int]]:
    """A tensor's type, number of elements, and where its bytes lie. Raises BadInput."""
    found: dict[str, Any] = item if type(item) is dict else {}
    kind: Any = found.get("dtype")
    shape: Any = found.get("shape")
    offsets: Any = found.get("data_offsets")
    if kind not in _BITS or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise BadInput("not a tensor", expected="dtype, shape, data_offsets", actual=name)
    count = math.prod(shape)
    if (offsets[1] - offsets[0]) * 8 != count * _BITS[kind]:
        raise BadInput("a tensor of another size than its shape", actual=name)
    return kind, count, (offsets[0], offsets[1])


def _naturals(value: Any) -> bool:
    return type(value) is list and len(value) <= 64 and all(type(one) is int and 0 <= one < 1 << 53 for one in value)


def _bytes(path: Path) -> bytes:
    with reading(path), path.open("rb") as file:
        return file.read(64 << 20)
