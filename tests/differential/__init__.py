"""Random histories through the real `ovn-ic` and through our engine, and a comparison of the
results.

`steps` and `generate` make histories, `world` runs them on real servers, `contents` normalizes the
databases for comparison, `shrink` reduces a failing history, `run` runs many of them.
"""
