"""Clips into one film without touching a picture: a new index in front of their payloads as they are."""
