"""Writes the browser client's types of the wire, from the shapes and the registry of events (``make types``).

``tests/unit/test_docs.py`` fails when ``web/client/src/wire/types.ts`` is not what ``types()`` gives.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from tidings.protocol import shapes
from tidings.protocol.events import EVENTS, LOG_EVENT_TYPES

FILE = Path(__file__).parent / "client" / "src" / "wire" / "types.ts"
HEAD = """\
/**
 * What travels over the wire: written by `make types` from `protocol/shapes.py` and `protocol/events.py` of the server.
 *
 * Nothing is checked here: a newer server may send more, and types of events that are not in this file.
 */
"""
UNION = """\
/** By the `type` of a frame or of an entry of a log: what it has as `data`. */
export interface ServerEvents {{
{events}
}}

export type ServerEvent = {{ [T in keyof ServerEvents]: {{ type: T; data: ServerEvents[T] }} }}[keyof ServerEvents];

/** Those that are in a log, and have a cursor. */
export type LogEventType = {in_log};
"""


def types() -> str:
    """The whole file: an interface for each shape, and the union of all events."""
    declared = [each for each in vars(shapes).values() if inspect.isclass(each) and each.__module__ == shapes.__name__]
    _, schemas = msgspec.json.schema_components(declared, ref_template="{name}")
    interfaces = [_interface(each.__name__, schemas[each.__name__]) for each in declared]
    events = "\n".join(f"  /** {each.doc} */\n  {name}: {each.data.__name__};" for name, each in EVENTS.items())
    in_log = " | ".join(json.dumps(name) for name in EVENTS if name in LOG_EVENT_TYPES)
    return "\n".join([HEAD, *interfaces, UNION.format(events=events, in_log=in_log)])


def _interface(name: str, schema: dict[str, Any]) -> str:
    is_asked = name.endswith("Body")
    fields = []
    for field, each in schema["properties"].items():
        # A default in an answer or an event is for readers: what may be left out there has none.
        is_there = field in schema["required"] or ("default" in each and not is_asked)
        fields.append(f"{_comment(each.get('description'), '  ')}  {field}{'' if is_there else '?'}: {_type(each)};")
    return "\n".join([f"{_comment(schema['description'])}export interface {name} {{", *fields, "}\n"])


def _comment(text: str | None, indent: str = "") -> str:
    return f"{indent}/** {text} */\n" if text else ""


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " | ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"])
    match schema["type"]:
        case "array":
            return f"Array<{item}>" if " " in (item := _type(schema["items"])) else f"{item}[]"
        case "object":
            return "Record<string, unknown>"
        case "integer" | "number":
            return "number"
        case "boolean" | "string" | "null" as name:
            return str(name)
        case other:
            raise NotImplementedError(f"no type of TypeScript for {other}")


if __name__ == "__main__":
    FILE.write_text(types(), encoding="utf-8")
