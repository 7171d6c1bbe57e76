"""The gRPC face of the server: thin servicers over the catalog and its engines."""
