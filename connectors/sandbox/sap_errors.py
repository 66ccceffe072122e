"""What the Gateway says when it refuses (SAP Gateway, OData V2: "Error Handling")."""

from __future__ import annotations

import time

from connectors.sandbox.wire import Response


class SapError(Exception):
    """A refusal in the Gateway's JSON form. `code`: message class and number, as in `V1/382`."""

    def __init__(self, status: int, code: str, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        detail = {
            "ContentID": "",
            "code": self.code,
            "message": self.text,
            "propertyref": "",
            "severity": "error",
            "transition": False,
            "target": "",
        }
        inner = {
            "transactionid": f"{time.time_ns():032X}",
            "timestamp": f"{time.time():.7f}",
            "errordetails": [detail],
        }
        body = {
            "error": {
                "code": self.code,
                "message": {"lang": "en", "value": self.text},
                "innererror": inner,
            }
        }
        return Response(self.status, body, self.headers)


def bad(text: str) -> SapError:
    """What cannot be read at all."""
    return SapError(400, "005056A509B11EE1B9A8FEC11C21D78E", text)


def missing(segment: str) -> SapError:
    return SapError(404, "/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{segment}'")
