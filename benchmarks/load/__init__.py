"""What every verb that loads a server shares: requests, transports, records, figures."""
