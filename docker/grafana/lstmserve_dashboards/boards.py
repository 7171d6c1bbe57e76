"""All dashboards, in the order in which they are read."""

from __future__ import annotations

from lstmserve_dashboards.cache import make_cache
from lstmserve_dashboards.engine import make_engine
from lstmserve_dashboards.overview import make_overview
from lstmserve_dashboards.quality import make_quality

BOARDS = (make_overview(), make_engine(), make_cache(), make_quality())
