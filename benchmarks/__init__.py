"""Benchmarks of speed, memory and file size, compared with neuroconv, pynwb and the machine.

``model`` defines a measurement, ``comparisons`` lists all of them, ``run`` makes one in a separate
process, ``rounds`` repeats them, and ``report`` and ``plots`` show the results.
"""

import os

# Programs of users keep their compiled modules; without them each start compiles the package.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
