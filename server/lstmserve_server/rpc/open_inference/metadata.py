"""What the server and its models tell of themselves."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve_server.rpc.open_inference.inputs import INPUTS
from lstmserve_server.rpc.open_inference.outputs import OUTPUTS
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.served_model import ServedModel

TensorMetadata = wire.ModelMetadataResponse.TensorMetadata

# of outputs that have an element per token
VARYING = frozenset({"token_ids"})
# of the protocol's extensions: parameters of requests
EXTENSIONS = ("parameters",)


def describe_server() -> wire.ServerMetadataResponse:
    version = importlib.metadata.version("lstmserve")
    return wire.ServerMetadataResponse(name="lstmserve", version=version, extensions=EXTENSIONS)


def describe_model(model: ServedModel, catalog: ModelCatalog) -> wire.ModelMetadataResponse:
    """The model of this version, with all versions that answer."""
    return wire.ModelMetadataResponse(
        name=model.name,
        versions=[each.version for each in catalog if each.name == model.name],
        platform=f"lstmserve_{model.manifest.family}",
        inputs=_describe(INPUTS),
        outputs=_describe({name: kind.datatype for name, kind in OUTPUTS.items()}),
    )


def _describe(datatypes: Mapping[str, str]) -> list[TensorMetadata]:
    return [
        TensorMetadata(name=name, datatype=datatype, shape=[-1 if name in VARYING else 1])
        for name, datatype in datatypes.items()
    ]
