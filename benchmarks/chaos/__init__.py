"""Replicas are killed, frozen and restarted under load, and no reply may be lost or changed."""
