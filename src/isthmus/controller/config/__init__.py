"""The ConfigMap `ovn-ic-config`: from its text to a `Config`, or to what is wrong with it.

Entry points: `configmap.parse_config`, `configmap.changed_keys`; `strict_yaml` for other YAML.
`isthmus.controller.inputs` parses the ConfigMap; the other packages of the controller use the
values only.
"""
