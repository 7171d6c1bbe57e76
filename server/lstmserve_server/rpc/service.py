"""What the servicers serve."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_server.cache.caches import Caches
from lstmserve_server.config import CacheConfig
from lstmserve_server.store.administration import Administration
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.telemetry.caches import CacheMetrics


@dataclass(frozen=True, slots=True)
class Service:
    """Models, what is kept of their replies, and what is counted of that."""

    catalog: ModelCatalog
    administration: Administration
    caches: Caches
    cache_config: CacheConfig
    cache_metrics: CacheMetrics
