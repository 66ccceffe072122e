"""What the models are made of: JSON's own numbers and truth values, never a text that looks like one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, PrivateAttr, Strict

Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Boolean = Annotated[bool, Strict()]


class Model(BaseModel):
    """Members that the hub has grown since this client was built are passed over."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, frozen=True)
    _etag: str = PrivateAttr("")
