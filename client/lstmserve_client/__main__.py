"""``python -m lstmserve_client`` is the ``lstmserve`` command."""

from lstmserve_client.cli import main

main()
