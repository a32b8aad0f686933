"""Where objects such as ConfigMaps and Subnets come from."""
