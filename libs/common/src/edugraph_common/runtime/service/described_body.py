"""The description of a body that a route reads itself, once the caller is admitted."""

from typing import Any

from pydantic import BaseModel


def described_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route whose body is JSON of this form. FastAPI sees no body there."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
