"""``python -m lstmserve_server`` is ``lstmserve-server``."""

from lstmserve_server.cli import main

if __name__ == "__main__":
    main()
