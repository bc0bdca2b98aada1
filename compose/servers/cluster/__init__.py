"""Servers and programs of a Kubernetes cluster: etcd, the API server and a client for its preparation, Helm,
kubectl with cmctl, and the NGINX Ingress Controller.

Forbidden: what is forbidden in `compose.servers`, and a cluster of somebody else (each server uses its own
kubeconfig).
"""
