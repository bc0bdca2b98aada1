"""Thin typed calls on the official Kubernetes client; nothing in this release. Imported only by the Kubernetes home and the controller.
"""
