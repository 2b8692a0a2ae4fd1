"""What the services say to each other and to their users: pydantic models, errors, routes. It imports no vendor."""
