"""Object stores and other file systems behind URLs, such as ``s3://bucket/session.nwb``.

fsspec opens them, and its packages know the credentials. It is imported when a URL is first used.
"""
