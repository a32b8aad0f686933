"""The command line: one module or package per verb, found by `main.main`.

Entry points: `main.main` (the program `isthmus`), `kubectl.main` (`kubectl-isthmus`),
`health.main` (`isthmus-health`). Imported by nothing but `isthmus_lab`, whose verbs use `common`.
"""
