"""The body of `POST /lookups` exactly as the contract has it."""

from typing import Annotated

from pydantic import Field

from hub.counter.gate import CounterBody
from hub.wire import Body


class HolderBody(Body):
    """Who is looked up: by number alone, since names are spelt in many ways."""

    id_type: Annotated[
        str,
        Field(pattern=r"^[0-9]{3}$", description="GB/T 36903 证件类型代码 Identity document type", examples=["111"]),
    ]
    id_number: Annotated[str, Field(min_length=1, max_length=60, description="证件号码 Identity number")]


class LookupBody(CounterBody):
    """Which certificates somebody holds whom an open case names (检索)."""

    holder: HolderBody
    type_codes: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=64)]],
            Field(
                min_length=1,
                max_length=50,
                description="证照类型代码；不填就查该事项需要的全部类型 Default: all types that the matter requires",
            ),
        ]
        | None
    ) = None
