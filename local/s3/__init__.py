"""The media bucket's S3: on disk, with signatures, role policies and CORS enforced."""
