"""Takes the picture of the page that the README shows: ``python docs/screenshot.py``."""
