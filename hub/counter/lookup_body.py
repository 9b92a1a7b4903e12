"""The request body of `POST /lookups`."""

from typing import Annotated

from pydantic import Field

from hub.counter.gate import CounterBody
from hub.wire import Body


class HolderBody(Body):
    """The person to look up: by number alone, since spellings of names vary."""

    id_type: Annotated[
        str,
        Field(pattern=r"^[0-9]{3}$", description="GB/T 36903 证件类型代码 Identity document type", examples=["111"]),
    ]
    id_number: Annotated[str, Field(min_length=1, max_length=60, description="证件号码 Identity number")]


class LookupBody(CounterBody):
    """Which certificates a person named in an open case holds (检索)."""

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
