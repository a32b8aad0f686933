"""The controller's reconcilers: each compares the inputs with the view and writes the difference.

Entry points: the classes derived from `base.ControllerReconciler`, which
`isthmus.controller.wiring.reconcilers` puts together. Nothing else imports this package.
"""
