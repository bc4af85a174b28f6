"""NumPy twins of the kernels and the conformance sweep."""
