"""The backends: everything that knows one of the file types in which NWB is stored.

``registry`` holds one row of data per backend, and each backend is one module with the names that
it answers to, its data wrappers, its sources and sinks, its filters, and its ways of copying.
``base`` declares what the rest of the storage room asks of a backend. A new backend is one new
module and one new row; no file outside this folder names a backend.
"""
