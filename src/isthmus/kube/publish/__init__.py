"""What Isthmus writes to the Kubernetes API: status ConfigMap, Events, labels of gateway Nodes.

Entry points: `status_publisher.StatusPublisher` and `node_labels.NodeLabeler`, each an
`api_writer.ApiWriter` with a thread of its own. The daemon's event sources offer them what to write
(`isthmus.daemon.status_source`, `isthmus.daemon.node_label_source`); the command line makes them.
"""
