"""Speed, memory and file size of conversions, next to neuroconv's, pynwb's and the machine's.

``model`` says what a measurement is, ``comparisons`` lists all of them, ``run`` makes one in a
process of its own, ``rounds`` makes many, ``report`` and ``plots`` show them.
"""
