"""The same load on lstmserve and on other servers that run the same architecture."""
