"""Packs a handler for TorchServe, starts it, and tells when its workers are ready."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.compare.servers.child import run_until_told
from benchmarks.compare.servers.free_port import find_free_ports
from benchmarks.testbed.direct import DIRECT

BIN = Path(sys.executable).parent
HANDLERS = Path(__file__).parent
ROOT = Path(__file__).parents[3]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batching", choices=("static", "async"), required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--torch-threads", type=int, default=1)
    parser.add_argument("--batch-delay-ms", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        pack(store, arguments)
        ports = find_free_ports(5)
        write_properties(store, ports)
        environment = {
            **os.environ,
            # it starts the "python" that it finds, which is to find the handlers' imports
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            # one that runs already would be found by its file there
            "TMPDIR": folder,
            "LOG_LOCATION": folder,
            "METRICS_LOCATION": folder,
        }
        command = [str(BIN / "torchserve"), "--start", "--foreground", "--ncs"]
        command += ["--ts-config", str(store / "config.properties"), "--model-store", str(store)]
        command += ["--log-config", str(HANDLERS / "torchserve_log4j2.xml")]
        command += ["--models", "stock.mar", "--disable-token-auth", "--enable-model-api"]
        run_until_told(command, environment, lambda: _is_ready(ports[1]), f"127.0.0.1:{ports[3]}")


def pack(store: Path, arguments: argparse.Namespace) -> None:
    """A model archive of the handler and its configuration; it makes its weights itself."""
    config = store / "model-config.yaml"
    config.write_text(
        f"minWorkers: {arguments.workers}\n"
        f"maxWorkers: {arguments.workers}\n"
        # an asynchronous worker takes requests while others run, one by one
        f"batchSize: {1 if arguments.batching == 'async' else 64}\n"
        f"maxBatchDelay: {arguments.batch_delay_ms}\n"
        "responseTimeout: 120\n"
        f"asyncCommunication: {json.dumps(arguments.batching == 'async')}\n"
        "handler:\n"
        f"  torch_threads: {arguments.torch_threads}\n",
        "utf-8",
    )
    command = [str(BIN / "torch-model-archiver"), "--model-name", "stock", "--version", "1.0"]
    command += ["--handler", str(HANDLERS / f"torchserve_{arguments.batching}.py")]
    command += ["--config-file", str(config), "--export-path", str(store)]
    subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603


def write_properties(store: Path, ports: list[int]) -> None:
    inference, management, metrics, grpc_inference, grpc_management = ports
    (store / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{inference}\n"
        f"management_address=http://127.0.0.1:{management}\n"
        f"metrics_address=http://127.0.0.1:{metrics}\n"
        f"grpc_inference_port={grpc_inference}\n"
        f"grpc_management_port={grpc_management}\n"
        "job_queue_size=10000\n"
        "vmargs=-Xmx1g\n",
        "utf-8",
    )


def _is_ready(management_port: int) -> bool:
    try:
        with DIRECT.open(f"http://127.0.0.1:{management_port}/models/stock") as answer:
            workers = json.load(answer)[0]["workers"]
    except OSError:
        return False
    return bool(workers) and all(worker["status"] == "READY" for worker in workers)


if __name__ == "__main__":
    main()
