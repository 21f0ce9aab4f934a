"""A brain behind ``pydantic-ai``: any model that it can host (extra ``agents``).

Only its models are used, one request a step. Its own loop would call tools as it goes; here a step goes through the
gate and into the journal first, so the loop is ours. Its messages and its tool definitions are what it is asked with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.agents.brain import MAX_WHY, Call, Finish, Form, Seen, Step
from troth.agents.completions import READ, SYSTEM
from troth.core.errors import BadInput, Misuse, OutsideFailed

if TYPE_CHECKING:
    from pydantic_ai.models import Model


@dataclass(frozen=True, slots=True)
class Hosted:
    """A model that ``pydantic-ai`` hosts: one of its ``Model`` objects, or what it calls one (``ollama:qwen3``).

    Where it is reached, and with which key, is the host's to know: it reads its own environment variables.
    """

    model: Model | str

    @property
    def name(self) -> str:
        """The model."""
        return self.model if isinstance(self.model, str) else self.model.model_name

    def next(self, words: str, seen: Sequence[Seen], tools: Sequence[Form]) -> Step:
        """Asks the model. Raises BadInput for an answer that is no step, OutsideFailed where none comes, Misuse without
        the library.
        """
        try:  # imported here: it takes a second to load, and is an extra
            from pydantic_ai.direct import model_request_sync
            from pydantic_ai.exceptions import AgentRunError, UserError
            from pydantic_ai.messages import TextPart, ToolCallPart
            from pydantic_ai.models import ModelRequestParameters
            from pydantic_ai.tools import ToolDefinition
        except ModuleNotFoundError as error:
            raise Misuse(f"a hosted model needs {error.name}", do="Run: pip install 'troth[agents]'") from None

        forms = [ToolDefinition(name=one.name, description=one.about, parameters_json_schema=dict(one.schema))
                 for one in tools]
        try:
            answer = model_request_sync(self.model, _history(words, seen),
                                        model_request_parameters=ModelRequestParameters(function_tools=forms))
        except UserError as error:
            raise Misuse("pydantic-ai cannot host this model", actual=error) from None
        except AgentRunError as error:
            raise OutsideFailed("the hosted model did not answer", actual=type(error).__name__) from None
        text = "".join(part.content for part in answer.parts if isinstance(part, TextPart)).strip()
        calls = [part for part in answer.parts if isinstance(part, ToolCallPart)]
        if not calls:
            return Finish(text)
        try:
            arguments = calls[0].args_as_dict()
        except (ValueError, AssertionError):
            raise BadInput("not a tool's arguments", expected="an object") from None
        return Call(calls[0].tool_name, arguments, text[:MAX_WHY])


def _history(words: str, seen: Sequence[Seen]) -> list[Any]:
    # Imported here for the same reason.
    from pydantic_ai.messages import (
        ModelRequest,
        ModelResponse,
        SystemPromptPart,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )

    found: list[Any] = [ModelRequest(parts=[SystemPromptPart(SYSTEM), UserPromptPart(words)])]
    for n, one in enumerate(seen):
        said = [TextPart(one.call.why)] if one.call.why else []
        found.append(ModelResponse(parts=[*said, ToolCallPart(one.call.tool, dict(one.call.arguments),
                                                              tool_call_id=f"call-{n}")]))
        found.append(ModelRequest(parts=[ToolReturnPart(one.call.tool, READ + one.text, tool_call_id=f"call-{n}")]))
    return found
