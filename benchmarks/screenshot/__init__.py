"""Takes the picture of a busy server's page that the README shows."""
