"""The wire in ``lstmserve.v1``, and the client's names: ``from lstmserve import Client``.

They are those of ``lstmserve_client``, which is imported when one of them is asked for. Whoever
needs the wire alone, as the server does, imports no client.
"""

from importlib import import_module


def __getattr__(name: str) -> object:
    if name != "__all__" and name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    client = import_module("lstmserve_client")
    if name == "__all__":
        return client.__all__
    if name in client.__all__:
        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *import_module("lstmserve_client").__all__])
