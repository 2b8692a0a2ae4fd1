"""The broker room: nothing outside it and the tasks knows celery, kombu or pika."""
