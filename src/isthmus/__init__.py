"""Isthmus joins the pod networks of several clusters over OVN interconnection."""
