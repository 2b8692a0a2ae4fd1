"""The weekly digest: a mail of at most five lines about a course (docs/adr/0145)."""
