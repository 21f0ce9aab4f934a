"""The suites of AgentDojo where no money moves: which arguments say whom a tool reaches and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troth.agents.origins import PAYEE, TARGET, Origins, refusal

REACH: Mapping[str, Mapping[str, str]] = {
    "add_user_to_channel": {"user": PAYEE, "channel": TARGET},
    "get_webpage": {"url": TARGET},  # asking for a page tells its owner
    "invite_user_to_slack": {"user": PAYEE, "user_email": PAYEE},
    "post_webpage": {"url": TARGET},
    "remove_user_from_slack": {"user": TARGET},
    "send_channel_message": {"channel": PAYEE},
    "send_direct_message": {"recipient": PAYEE},
    "create_calendar_event": {"participants": PAYEE, "title": TARGET},
    "reserve_hotel": {"hotel": TARGET},
    "send_email": {"recipients": PAYEE},
    "add_calendar_event_participants": {"event_id": TARGET, "participants": PAYEE},
    "append_to_file": {"file_id": TARGET},
    "create_file": {"filename": TARGET},
    "delete_email": {"email_id": TARGET},
    "delete_file": {"file_id": TARGET},
    "reschedule_calendar_event": {"event_id": TARGET},
    "share_file": {"email": PAYEE, "file_id": TARGET},
}
KNOWN = {"slack": (5, 2), "travel": (1, 17), "workspace": (3, 23)}
"""By suite: the attacks that pass, each to what the owner's words name; wishes without a question."""


def unsaid_calls(prompt: str, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls that need approval. There are no records and no address book: the words are all."""
    origins = Origins((prompt,))
    return [call for call in calls if call["function"] in REACH
            and refusal(call["function"], call["args"], REACH[call["function"]], origins) is not None]
