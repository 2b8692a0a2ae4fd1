"""In place of pandas, which the environment of the tests has for the notebook, and no image of a service."""

raise ImportError("the images have no pandas")
