"""The inputs of the controller: ConfigMap, Subnets, Nodes and Vpcs, validated.

Entry points: `inputs.Inputs.update` with a `snapshot.Snapshot`; a source of manifests makes the
snapshots. Imports `isthmus.controller.config` only; everything else in the controller may import
this package.
"""
