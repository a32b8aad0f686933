"""Random histories through real `ovn-ic` and through our engine, and a comparison of the results.

`steps` and `generate` make histories, `world` plays them on real servers, `contents` brings the
databases into a comparable form, `shrink` reduces a failing history, `run` does many of them.
"""
