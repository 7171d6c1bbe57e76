"""What counting costs: a server with its metrics beside one without."""
