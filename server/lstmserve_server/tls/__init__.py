"""What the gRPC port proves itself with: read, checked, and followed when its files change."""
