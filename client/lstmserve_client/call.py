"""What belongs to one call whatever it asks: its time, its name, and who makes it."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from lstmserve_client.affinity import METADATA_KEY as AFFINITY_KEY
from lstmserve_client.checks import check_type
from lstmserve_client.config import ClientConfig, check_metadata, check_token
from lstmserve_client.keywords import CallOptions
from lstmserve_client.merging import timeout_of
from lstmserve_client.transport import Metadata

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call, over all of its attempts."""

    config: ClientConfig
    timeout_seconds: float  # for all attempts together; infinite for as long as it takes
    request_id: str
    metadata: Mapping[str, str]
    is_retried: bool = True
    is_checked: bool = True  # only servers that report SERVING will do
    affinity: str = ""  # calls with the same one prefer the same server

    def make_metadata(self) -> Metadata:
        """What goes with an attempt; the token is asked for each time, so that it may change."""
        config = self.config
        found = {**config.metadata, **self.metadata, "x-request-id": self.request_id}
        if self.affinity:
            found[AFFINITY_KEY] = self.affinity
        if config.caller:
            found["x-caller-id"] = config.caller
        if config.token is not None:
            token = config.token if isinstance(config.token, str) else config.token()
            check_token(token)
            found["authorization"] = f"Bearer {token}"
        return tuple((key.lower(), value) for key, value in found.items())


def make_call(
    config: ClientConfig,
    options: CallOptions,
    *,
    is_retried: bool = True,
    is_checked: bool = True,
    affinity: str = "",
) -> Call:
    """Raises ValueError naming the option that is wrong, and TypeError for another type."""
    timeout = timeout_of(options)
    request_id = options.get("request_id") or secrets.token_hex(16)
    metadata = options.get("metadata") or {}
    check_type("request_id", request_id, str)
    check_type("metadata", metadata, Mapping)
    if not _REQUEST_ID.fullmatch(request_id):
        raise ValueError("request_id: must have 1 to 64 letters, digits, '.', '_' or '-'")
    check_metadata(metadata)
    return Call(
        config,
        config.timeout_seconds if timeout is None else timeout,
        request_id,
        metadata,
        is_retried,
        is_checked,
        affinity,
    )
