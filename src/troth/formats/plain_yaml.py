"""YAML as other tools write records in it: mappings, lists and scalars, nothing said twice and nothing by reference.

PyYAML reads it (extra ``formats``). Aliases are refused, since a few lines of them can stand for more than fits into
memory, and so are duplicate keys, which it would read as the last one.
"""

from __future__ import annotations

from typing import Any

from troth.core.encoding import MAX_DEPTH
from troth.core.errors import BadInput, Misuse

MAX_RECORD = 4 << 20


def read_yaml(data: bytes) -> dict[str, Any]:
    """A mapping of texts, integers, booleans, floats, lists and mappings.

    Raises BadInput for more than 4 MiB, other roots, aliases, tags, duplicate keys and deep nesting; Misuse without
    PyYAML.
    """
    try:
        # Imported here: an optional extra that only readers of such records need.
        import yaml
    except ImportError:
        raise Misuse("reading YAML needs PyYAML", do="Run: pip install 'troth[formats]'") from None
    if len(data) > MAX_RECORD:
        raise BadInput("record too long", expected=f"at most {MAX_RECORD} bytes", actual=len(data))
    try:
        text = data.decode()
        # The scanner goes first, event by event: it neither recurses nor builds anything.
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise BadInput("YAML with an alias", do="Write what it stands for.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise BadInput("nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _check_unique(node)
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput("not YAML in UTF-8", actual=str(error).splitlines()[0] if str(error) else error) from None
    if type(value) is not dict:
        raise BadInput("unexpected YAML", expected="a mapping", actual=type(value).__name__)
    return value


def _check_unique(node: Any) -> None:
    # Imported here for the same reason.
    import yaml

    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, yaml.MappingNode):
            keys = [(key.tag, key.value) for key, _ in one.value if isinstance(key, yaml.ScalarNode)]
            if len(set(keys)) != len(one.value):
                raise BadInput("duplicate or odd keys in YAML", expected="each key once, a text")
            pending += [value for _, value in one.value]
        elif isinstance(one, yaml.SequenceNode):
            pending += one.value


def as_text(value: Any) -> str:
    """A scalar or a small structure as text for a claim. Raises BadInput for what is none of JSON's kinds."""
    # Imported here for the same reason as PyYAML: only readers of such records need it.
    import json

    if type(value) is str:
        return value
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError):
        raise BadInput("a value that a claim cannot hold as text", actual=type(value).__name__,
                       do="Write dates and such in quotes.") from None
