"""Celery, kombu and pika: the app, the topology, publishing, and the base class of tasks.

Outside this package only tasks and workers import these vendors.
"""
