"""Code that runs in every service: `service`, `shared_state` on top of it, and `messaging` on top of both."""
