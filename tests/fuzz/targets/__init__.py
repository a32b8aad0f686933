"""What is fuzzed: one module for each kind of input, with a function `run(data)`.

Invariant: `run` raises only when the code under test breaks a promise of its own; it does not
import atheris, so that `test_corpus` can replay inputs without it.
"""
