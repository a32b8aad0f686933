"""The rows that each release of Kube-OVN leaves behind, for tests of adoption and migration."""
