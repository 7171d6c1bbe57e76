"""The verbs of ``lstmserve cache``: what they read, do and show."""
