"""A simulated fleet of replicas, made of measured costs: what a load needs."""
