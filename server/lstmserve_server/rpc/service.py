"""What the servicers serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lstmserve_server.cache.observer import CacheTotals
from lstmserve_server.cache.stores import CacheStores
from lstmserve_server.config import CacheConfig
from lstmserve_server.replies.service import ReplyService
from lstmserve_server.rpc.constraining import Constraining
from lstmserve_server.rpc.operations import LogLevel
from lstmserve_server.rpc.tokenizing import Tokenizing
from lstmserve_server.store.administration import Administration
from lstmserve_server.store.catalog import ModelCatalog


@dataclass(frozen=True, slots=True)
class Service:
    """Models, what is kept of their replies, what is counted of that, and the log."""

    catalog: ModelCatalog
    administration: Administration
    replies: ReplyService
    stores: CacheStores
    cache_config: CacheConfig
    cache_totals: CacheTotals
    max_running: int  # replies that a model makes at the same time
    log_level: LogLevel
    on_log_level: Callable[[str], object]  # told of a level that an administrator has set
    constraining: Constraining
    is_text_logged: bool = False  # prompts and replies, redacted
    tokenizing: Tokenizing = field(default_factory=Tokenizing)
