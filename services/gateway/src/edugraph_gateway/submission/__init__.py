"""From the bytes of a request to a message that the broker has confirmed."""
