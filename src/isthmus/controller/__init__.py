"""From `ovn-ic-config`, subnets and nodes to the rows they ask for. Pure."""
