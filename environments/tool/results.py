"""What a call of an MCP server brought, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mcp_types


def in_words(result: mcp_types.CallToolResult) -> str:
    """Return what a server brought as text; what is no text is named, not shown."""
    shown = [text for block in result.content if (text := _block(block))]
    if result.structured_content is not None and not shown:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(shown)


def _block(block: mcp_types.ContentBlock) -> str:
    match block.type:
        case "text":
            return block.text
        case "image" | "audio":
            return f"[{block.type}, {block.mime_type}, {len(block.data)} characters of base64, not shown]"
        case "resource":
            return str(getattr(block.resource, "text", f"[{block.resource.uri}, not shown]"))
        case "resource_link":
            return f"[{block.name}: {block.uri}]"
