"""The lstmserve server: ``lstmserve-server``, or ``lstmserve_server.app.App`` in a program."""
