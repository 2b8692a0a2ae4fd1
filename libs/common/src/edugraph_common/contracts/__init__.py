"""The contracts between the services, and with users: pydantic models, errors, routes. No vendor is imported."""
