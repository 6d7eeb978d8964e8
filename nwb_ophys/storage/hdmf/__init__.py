"""The room of hdmf: everything that relies on how hdmf, pynwb and hdmf-zarr work inside.

``internals`` reads and sets their private attributes, each in a function that names its purpose.
``placeholders`` declares large datasets while hdmf writes the structure of a file, ``iterators``
reads and re-reads lazy data, and ``records`` keeps hdmf from converting arrays one value at a
time. ``tests/storage/test_hdmf_internals.py`` names each private attribute, and fails with that
name if a new version of hdmf lacks it.
"""
