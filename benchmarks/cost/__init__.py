"""What a part of the server costs: the same load on servers with it and without, in turn."""
