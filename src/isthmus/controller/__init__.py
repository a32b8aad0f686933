"""The controller: from the inputs to what this cluster has in the databases, and its status.

It does what Kube-OVN's ovn-ic controller does: it names the zone, connects VPCs to transit
switches, keeps routing policies, and leaves. Entry points: `inputs.inputs.Inputs`,
`wiring.reconcilers`, `import_policy.import_rules`, `gateway_labels.gateway_labels`, and the package
`status`. All layers above may import it. Inside, `wiring` imports `reconcilers`; these and `status`
import `connections`, `zones` and `inputs`; `inputs` imports `config`.
"""
