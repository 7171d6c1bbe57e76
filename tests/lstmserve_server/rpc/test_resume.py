"""A reply that was cut goes on at another server, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from support.calls import LONG, connect
from support.server_process import ServerProcess

GenerationStub = generation_service_pb2_grpc.GenerationServiceStub
