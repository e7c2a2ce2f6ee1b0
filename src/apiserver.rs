//! The embedded Kubernetes API server: the ground for the demo, the edge hub and the tests.
